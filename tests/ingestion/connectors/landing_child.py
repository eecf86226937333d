"""A process that lands until it is killed."""

import json
import os
import sys
from pathlib import Path

from sourced_shop import sourced_shop

if __name__ == "__main__":
    shop = sourced_shop(Path(sys.argv[1]), json.loads(sys.argv[2]), dict(os.environ))
    shop.land(3)
