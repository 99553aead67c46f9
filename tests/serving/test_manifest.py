"""A version whose files are not those that were written does not answer."""

import json
import shutil

import pytest

from serving.errors import ModelError
from serving.loaded_model import LoadedModel
from serving.manifest import MANIFEST_FILE, check_manifest, write_manifest


@pytest.fixture
def version(saved, tmp_path):
    path = shutil.copytree(saved / "1", tmp_path / "1")
    (path / "assets").mkdir(exist_ok=True)
    (path / "assets" / "vocabulary").write_text("ada\nbob\ncyd\n")
    write_manifest(str(path))
    return path


def test_every_file_is_written_down_but_the_manifest_itself(version):
    files = json.loads((version / "assets.extra" / MANIFEST_FILE).read_text())["files"]
    there = {str(path.relative_to(version)) for path in version.rglob("*") if path.is_file()}
    assert set(files) == there - {f"assets.extra/{MANIFEST_FILE}"}
    assert files["assets/vocabulary"]["bytes"] == 12
    LoadedModel(version).close()


def test_what_others_put_beside_it_is_not_looked_at(version):
    (version / "assets.extra" / "notes.txt").write_text("good")
    check_manifest(version)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-4])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "damage", "told"),
    [
        ("assets/vocabulary", _cut, r"vocabulary is damaged: found 8 bytes, expected 12"),
        ("assets/vocabulary", _flip, r"vocabulary is damaged: its 12 bytes are not those"),
        ("assets/vocabulary", lambda path: path.unlink(), r"vocabulary is damaged: No such file"),
        ("saved_model.pb", _cut, r"saved_model.pb is damaged: found .* bytes, expected"),
        ("variables/variables.data-00000-of-00001", _flip, r"variables.data.* bytes are not those"),
        (f"assets.extra/{MANIFEST_FILE}", _cut, r"manifest.json cannot be read: .*Push the version anew"),
        (
            f"assets.extra/{MANIFEST_FILE}",
            lambda path: path.write_text("[]"),
            r"manifest.json cannot be read",
        ),
    ],
)
def test_damage_is_found_before_the_model_is_loaded(version, file, damage, told):
    damage(version / file)
    with pytest.raises(ModelError, match=told):
        LoadedModel(version)
