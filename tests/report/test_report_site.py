"""The atlas page as text, and its server."""

import dataclasses
import json
import re
import socket
import threading
import urllib.error
import urllib.request

import pytest

from shallows.atlas import member
from shallows.atlas.site import SiteData
from shallows.atlas.site_census import shipped_census
from shallows.atlas.site_data import shown_point
from shallows.report.site import site_page, write_site
from shallows.report.site.live import LiveSite


@pytest.fixture(scope="module")
def data():
    names = ("global", "II")
    points = tuple(shown_point(name, 6) for name in names)
    origin = {"shallows": "1"}
    return SiteData(names, (6,), points, (), (), (), (), shipped_census(), origin)


def test_a_page_has_all_in_itself_and_asks_nobody(data, tmp_path):
    path = write_site(data, tmp_path / "new" / "index.html", command="shallows atlas --out x")
    text = path.read_text("utf-8")
    assert "connect-src" not in text
    assert "default-src 'none'" in text
    assert re.findall(r"\b(?:src|href)=\"(?!#|data:)", text) == []
    (embedded,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    kept = json.loads(embedded)
    assert kept["points"][1]["loss"] == data.points[1].loss == member("II", 6).value
    assert kept["live"] is False
    assert "shallows atlas --out x" in text
    # Every place that a script fills is there.
    wanted = set(re.findall(r"\$\(\"([\w-]+)\"\)", text)) | set(
        re.findall(r"Atlas\.(?:picture|table|choice)\(\"([\w-]+)\"", text)
    )
    assert len(wanted) > 30
    assert wanted <= set(re.findall(r"\bid=\"([\w-]+)\"", text))


def test_text_cannot_leave_the_data(data):
    table = dataclasses.replace(data.census, source="</script><b>")
    text = site_page(dataclasses.replace(data, census=table), command="</pre><i>")
    assert "<b>" not in text
    assert "<i>" not in text


def test_a_server_answers_to_this_machine(data):
    server = LiveSite(0)
    server.show(data, command="shallows atlas --serve")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def get(path, **headers):
        asked = urllib.request.Request(server.address + path, headers=headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.read().decode()

    try:
        assert "connect-src 'self'" in get("")
        shown = json.loads(get("point?name=global&k=123"))["smallest_eigenvalue"]
        assert shown == float(member("global", 123).spectrum()[0].eigenvalue)
        # Whole numbers that a browser would round come as text, and none is lost.
        large = json.loads(get("point?name=global&k=1000000000000"))
        assert sum(int(level["multiplicity"]) for level in large["levels"]) == 10**24
        assert {type(level["multiplicity"]) for level in large["levels"]} == {int, str}
        for query, words in [
            ("name=II", "A point has 'k'"),
            ("name=II&k=x", "whole number"),
            ("name=II&k=5", "from 6 to"),
            ("name=III&k=6", "III"),
        ]:
            assert words in json.loads(get(f"point?{query}"))["error"]
        for path, headers, status in [
            ("other", {}, 404),
            ("", {"Host": "elsewhere.example:80"}, 403),
        ]:
            with pytest.raises(urllib.error.HTTPError) as refused:
                get(path, **headers)
            assert refused.value.code == status
            refused.value.close()
        with pytest.raises(ValueError, match=rf"Port {server.server_port} is in use. Choose"):
            LiveSite(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    with pytest.raises(ValueError, match="from 0 to 65535, but is 70000"):
        LiveSite(70_000)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ValueError, match="in use"):
        LiveSite(taken.getsockname()[1])
