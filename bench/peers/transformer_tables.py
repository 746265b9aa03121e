"""The tables of docs/transformer.md, for the pages that gather all networks."""


def table(heading):
    """A section of that page with its text and table, under '## The transformer, <heading>'; empty when it has none."""
    with open("docs/transformer.md", encoding="utf-8") as file:
        parts = file.read().split("\n## ")
    for part in parts:
        title, _, body = part.partition("\n")
        if title == heading:
            return ["", f"## The transformer, {heading[0].lower()}{heading[1:]}", "", "From [transformer.md](transformer.md).", "", *body.strip().split("\n")]
    return []
