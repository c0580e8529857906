"""Builds the documents into build/site: search, navigation, API pages, the map in front.

    .venv/bin/python tools/docs_site.py        after tools/other_environment.py docs

The pages are laid out in build/docs, as tools/site_pages.py says, with tools/site.yml and the
navigation; the generator (requirements/docs.in) makes the site of that. Exit code 1: a link leads
nowhere, or the generator warns of anything.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from string import Template

from environment import ROOT
from other_environment import ENVIRONMENTS
from site_pages import FRONT, REPOSITORY, Pages, at

BUILD = ROOT / "build"
TOOLS = Path(__file__).resolve().parent
GENERATOR = next(one for one in ENVIRONMENTS if one.name == "docs").python.with_name("zensical")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LOOK = "{site}/index.html\nLook at it with: python3 -m http.server -b 127.0.0.1 -d {site}"


def lay_out(pages: Pages, to: Path) -> None:
    """The generator's folder anew: its configuration, and the pages below `pages`."""
    shutil.rmtree(to, ignore_errors=True)
    for name in sorted(pages.files):
        file = to / "pages" / at(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".md"):
            file.write_text(_text(pages, name), encoding="utf-8")
        else:
            shutil.copy(pages.root / name, file)
    configuration = Template((TOOLS / "site.yml").read_text(encoding="utf-8"))
    shown = configuration.substitute(root=ROOT, repository=REPOSITORY)
    (to / "mkdocs.yml").write_text(f"{shown}nav: {json.dumps(pages.navigation())}\n", "utf-8")


def _text(pages: Pages, name: str) -> str:
    """The front page says below its title where the reader is."""
    title, _, rest = pages.text(name).partition("\n")
    said = (TOOLS / "site_front.md").read_text(encoding="utf-8") if name == FRONT else ""
    return f"{title}\n{said}{rest}"


def build(generator: Path, folder: Path) -> bool:
    """Whether the generator had nothing to complain of; what it had, it has said."""
    command = [str(generator), "build", "--strict", "--config-file", str(folder / "mkdocs.yml")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        told, _, trace = COLOURS.sub("", done.stderr).partition("Traceback")
        print(told, *trace.splitlines()[-1:], sep="", file=sys.stderr)
    return done.returncode == 0


def main() -> None:
    if not GENERATOR.exists():
        sys.exit("The site's tools are not installed: type `make docs`.")
    pages = Pages.of()
    if dead := list(pages.dead_links()):
        sys.exit("These links lead nowhere: mend them.\n" + "\n".join(dead))
    print(f"{sum(name.endswith('.md') for name in pages.files)} pages")
    folder, site = BUILD / "docs", BUILD / "site"
    lay_out(pages, folder)
    print("search, navigation, API pages (half a minute)", flush=True)
    if not build(GENERATOR, folder):
        sys.exit("The site was not built: mend what is named above, then `make docs` again.")
    shutil.rmtree(site, ignore_errors=True)
    (folder / "site").rename(site)
    print(LOOK.format(site=site.relative_to(ROOT)))


if __name__ == "__main__":
    main()
