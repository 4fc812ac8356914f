"""deploy/examples/files does what its comments say."""

import shutil
from pathlib import Path

from tests.whole.running import running
from tests.whole.talking import EXAMPLES, Talk


def test_the_files_example(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "files", tmp_path, dirs_exist_ok=True)
    with running(tmp_path, (tmp_path / "trivet.yaml").read_text()) as site, Talk(site.address) as talk:
        assert b"readme.txt" in talk.get("/downloads/").body
        assert talk.get("/downloads/readme.txt", "Range: bytes=0-6").body == b"Anybody"
        page = talk.get("/app/orders/7")
        assert b"every path below" in page.body
        assert "immutable" in talk.get("/app/app.6b1f0a2c9d3e.css").headers["cache-control"]
        assert talk.get("/app/app.000a00000000.css").status == 404
        assert b"<title>Members" in talk.get("/").body
        assert talk.get("/report").status == 403
        report = talk.get("/report?member=yes")
        assert report.body == b"Only members may have this.\n"
        assert report.headers["content-disposition"] == "attachment; filename=report.txt"
        assert talk.get("/members-files/report.txt").status == 404
