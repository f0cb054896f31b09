"""One page a rule: what an error or a finding means, a wrong and a right example.

The pages are the Markdown files of this folder, named by slug.  The first line of each
is ``# slug: what it means in one line``.
"""

from __future__ import annotations

from pathlib import Path

from pagerace.report.verdict import SENTENCES

FOLDER = Path(__file__).parent


def slugs() -> list[str]:
    """Every rule that has a page."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def page(slug: str) -> str:
    """The page of a rule, as Markdown.  ``slug`` must be one of ``slugs()``."""
    return (FOLDER / f"{slug}.md").read_text(encoding="utf-8").rstrip()


def title(slug: str) -> str:
    """What a rule means, in one line."""
    return page(slug).partition("\n")[0].removeprefix(f"# {slug}: ")


def index() -> str:
    """All rules with their titles: first what is refused, then what a search finds."""
    width = max(len(slug) for slug in slugs())
    found = [slug for slug in slugs() if slug in SENTENCES]
    refused = [slug for slug in slugs() if slug not in SENTENCES]
    lines = ["What a protocol file is refused for:"]
    lines += [f"  {slug:<{width}}  {title(slug)}" for slug in refused]
    lines += ["", "What a search finds:"]
    lines += [f"  {slug:<{width}}  {title(slug)}" for slug in found]
    return "\n".join(lines)
