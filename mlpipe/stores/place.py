"""Where a store lies when nobody says."""

import os
from pathlib import Path

VARIABLE = "MLPIPE_STORE"


def default_url() -> str:
    """``$MLPIPE_STORE``, else ``$DAGSTER_HOME/mlpipe``, else ``./.mlpipe``."""
    home = os.environ.get("DAGSTER_HOME")
    url = os.environ.get(VARIABLE) or (str(Path(home) / "mlpipe") if home else ".mlpipe")
    return url if "://" in url else str(Path(url).absolute())
