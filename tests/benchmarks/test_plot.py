"""The SVG that is written by hand: well formed, to scale, nothing unescaped."""

from xml.etree import ElementTree

from benchmarks.figures import Results, Row, Sample
from benchmarks.plot import Bar, chart
from benchmarks.plots import write

SVG = "{http://www.w3.org/2000/svg}"
BARS = [
    Bar("a <b> & c", (("front", 30.0), ("pool", 10.0)), "40 µs", is_ours=True),
    Bar("other", (("front", 80.0),), "80 µs"),
]


def boxes(text: str, colour: str) -> list[ElementTree.Element]:
    return [box for box in ElementTree.fromstring(text).iter(f"{SVG}rect") if box.get("class") == colour]


def test_bars_are_to_scale_and_parts_follow_each_other() -> None:
    text = chart("a title", "2 cores", BARS)
    ours, other = boxes(text, "front")
    (pool,) = boxes(text, "pool")
    assert float(other.get("width", "")) > 300
    assert round(float(other.get("width", "")) / float(ours.get("width", "")), 1) == round(80 / 30, 1)
    ends = float(ours.get("x", "")) + float(ours.get("width", ""))
    assert abs(float(pool.get("x", "")) - ends) < 0.2


def test_names_are_escaped_and_both_kinds_of_pages_served() -> None:
    text = chart("less < more", "2 cores", BARS, [("front", "proxy")], mark=1.0)
    said = [element.text for element in ElementTree.fromstring(text).iter(f"{SVG}text")]
    assert {"less < more", "a <b> & c", "40 µs", "proxy"} <= set(said)
    assert "prefers-color-scheme: dark" in text


def test_nothing_to_draw_is_an_empty_chart() -> None:
    assert boxes(chart("a title", "", []), "front") == []


def test_plots_are_drawn_of_what_can_be_compared(tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = Results()
    figures = {"cpu": 50.0, "front": 20.0, "pool": 25.0, "rate": 100.0}
    found.samples.append(Sample(Row("hello", "trivet"), 1, figures))
    found.samples.append(Sample(Row("hello", "nginx+gunicorn"), 1, {**figures, "cpu": 100.0}))
    found.samples.append(Sample(Row("flask", "trivet"), 1, figures))
    names = {path.name for path in write(found, tmp_path / "svg", "2 cores")}
    assert names == {"hello-cpu.svg", "hello-rate.svg", "overview.svg"}
    overview = (tmp_path / "svg" / "overview.svg").read_text()
    assert "0.50 x" in overview
