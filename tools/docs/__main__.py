"""``python -m tools.docs``: write the pages."""

import sys

from tools.docs.pages import ROOT, write_pages

if __name__ == "__main__":
    for path in write_pages():
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
