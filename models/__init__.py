"""The shipped topic model and the code that runs it.

`DEFAULT_MODEL` is the folder of the model that comes with the package: it is package data, so the
path is right in a checkout and in an installed package alike.
"""

from importlib import resources
from pathlib import Path

DEFAULT_MODEL = Path(str(resources.files(__name__))) / "topics"
