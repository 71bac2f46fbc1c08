"""Every relative link of the documentation leads to a file, and its anchor to a heading. As: links.py SOURCE [LEFT-OUT…]

SOURCE may be an installed copy, without the folders LEFT-OUT of the source tree.
"""

import pathlib
import re
import sys

SOURCE = pathlib.Path(sys.argv[1]).resolve()
LEFT_OUT = tuple(SOURCE / name for name in sys.argv[2:])


def slug(heading):
    """The anchor of a heading, as GitHub makes it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page):
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    return {slug(heading) for heading in re.findall(r"(?m)^#+ (.+)$", text)}


pages = [*SOURCE.glob("*.md"), *(page for folder in ("docs", "examples", "deploy", "packages", "python")
                                 for page in (SOURCE / folder).rglob("*.md"))]
wrong, links = [], 0
for page in pages:
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?m)^\[[^\]]+\]: (\S+)$", text)
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        links += 1
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if any(file.resolve().is_relative_to(folder) for folder in LEFT_OUT):
            continue
        if not file.exists():
            wrong.append(f"{page.relative_to(SOURCE)}: {target}: there is no such file")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            wrong.append(f"{page.relative_to(SOURCE)}: {target}: there is no such heading")
print(f"{len(pages)} pages, {links} links")
if wrong:
    sys.exit("\n".join(wrong))
