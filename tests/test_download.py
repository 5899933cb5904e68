import gzip
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from bot.gateways.download import (
    ClipFetcher,
    FetchError,
    PublicResolver,
    is_name,
    is_public,
    is_trusted,
)
from tests.gateway_server import Answer, HostileServer, Seen, answer, closed_port, serving

HEAD = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"
CLIP = HEAD + bytes(range(256)) * 4_000
VIDEO = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Where the clip goes; nothing else is ever left beside it."""
    target = tmp_path / "job.mp4"
    yield target
    assert [path for path in tmp_path.iterdir() if path != target] == []


def fetcher(*servers: HostileServer, most_bytes: int = 2_000_000, most_seconds: float = 5) -> ClipFetcher:
    """One that trusts these servers and nothing else."""
    return ClipFetcher(
        trusted_hosts=[f"127.0.0.1:{server.port}" for server in servers],
        most_bytes=most_bytes,
        most_seconds=most_seconds,
    )


async def trouble(clips: ClipFetcher, target: Path, *urls: str) -> FetchError:
    """The error of a fetch that must not succeed."""
    async with clips:
        with pytest.raises(FetchError) as caught:
            await clips.fetch(urls, target)
    assert not target.exists()
    return caught.value


async def test_a_clip_is_on_disk_byte_for_byte(target: Path) -> None:
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (CLIP[:5], CLIP[5:])) + b"0\r\n\r\n"
    for script in (
        answer(200, CLIP, VIDEO),
        answer(200, CLIP, {"Content-Type": "text/html"}),
        Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked),
    ):
        async with serving(script) as server, fetcher(server) as clips:
            await clips.fetch([f"{server.origin}/v.mp4?sig=a%2Fb"], target)
        assert target.read_bytes() == CLIP


async def test_no_key_no_cookie_and_no_wish_for_compression_is_sent_anywhere(target: Path) -> None:
    def script(seen: Seen) -> Answer:
        if seen.path == "/clip":
            return answer(200, CLIP)
        return answer(302, b"", {"Location": "/clip", "Set-Cookie": "session=1; Path=/"})

    async with serving(script) as server, fetcher(server) as clips:
        await clips.fetch([f"{server.origin}/start"], target)
        await clips.fetch([f"{server.origin}/start"], target)
    assert [request.path for request in server.requests] == ["/start", "/clip"] * 2
    for request in server.requests:
        assert (request.method, request.body) == ("GET", b"")
        assert request.headers["accept-encoding"] == "identity"
        assert not {"authorization", "cookie", "referer", "ocp-apim-subscription-key"} & set(request.headers)


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><body>Log in</body></html>",
        b"",
        b"\0\0\0\x18ftyp",
        b"RIFF....WEBPVP8 " + bytes(100),
        gzip.compress(CLIP),
    ],
    ids=["HTML", "nothing", "half a head", "a picture", "a compressed clip"],
)
async def test_what_is_no_mp4_by_its_bytes_is_refused_for_good(target: Path, body: bytes) -> None:
    for headers in ({"Content-Type": "video/mp4"}, {"Content-Encoding": "gzip"}):
        async with serving(answer(200, body, headers)) as server:
            error = await trouble(fetcher(server), target, f"{server.origin}/v.mp4")
        assert str(error) == "the link leads to something that is no MP4 video"
        assert error.lasting


@pytest.mark.parametrize(
    "script",
    [
        answer(200, CLIP),
        Answer(raw=b"HTTP/1.1 200 OK\r\n\r\n" + HEAD, end="endless"),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + HEAD, end="hang"),
    ],
    ids=["too long", "endless", "says it is too long"],
)
async def test_a_file_over_the_cap_is_refused_for_good(target: Path, script: Answer) -> None:
    async with serving(script) as server:
        clips = fetcher(server, most_bytes=len(CLIP) - 1)
        error = await trouble(clips, target, f"{server.origin}/v.mp4")
    assert str(error) == f"the file is larger than {len(CLIP) - 1:,} bytes"
    assert error.lasting


async def test_a_file_of_exactly_the_cap_is_taken(target: Path) -> None:
    async with serving(answer(200, CLIP)) as server, fetcher(server, most_bytes=len(CLIP)) as clips:
        await clips.fetch([f"{server.origin}/v.mp4"], target)
    assert target.stat().st_size == len(CLIP)


@pytest.mark.parametrize(
    "script",
    [
        Answer(end="hang"),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + HEAD, end="hang"),
        Answer(raw=b"HTTP/1.1 200 OK\r\n\r\n" + HEAD, end="trickle"),
    ],
    ids=["says nothing", "stops", "says a byte now and then"],
)
async def test_a_link_that_takes_too_long_is_given_up_for_now(target: Path, script: Answer) -> None:
    async with serving(script) as server:
        error = await trouble(fetcher(server, most_seconds=0.2), target, f"{server.origin}/v.mp4")
    assert (str(error), error.lasting) == ("the link takes too long", False)


@pytest.mark.parametrize(
    "script",
    [
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + CLIP[:5_000]),
        Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + CLIP[:5_000] + b"\r\n"),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + CLIP[:5_000], end="reset"),
        Answer(end="reset"),
        Answer(raw=b"SSH-2.0\r\n\r\n"),
        Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n" + CLIP),
        Answer(raw=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n" + CLIP),
        answer(404, CLIP),
        answer(403, CLIP),
        answer(500, CLIP),
        answer(206, CLIP),
        answer(204),
    ],
)
async def test_a_cut_body_or_another_status_is_no_clip_but_may_be_one_later(
    target: Path, script: Answer
) -> None:
    async with serving(script) as server:
        assert not (await trouble(fetcher(server), target, f"{server.origin}/v.mp4")).lasting


async def test_a_place_nobody_answers_at_may_answer_later(target: Path) -> None:
    port = closed_port()
    clips = ClipFetcher(trusted_hosts=[f"127.0.0.1:{port}"])
    assert not (await trouble(clips, target, f"http://127.0.0.1:{port}/v.mp4")).lasting
    clips = ClipFetcher(trusted_hosts=[])
    assert not (await trouble(clips, target, "https://clips.invalid/v.mp4")).lasting


async def test_the_first_good_link_wins(target: Path) -> None:
    def script(seen: Seen) -> Answer:
        return {"/a": answer(404), "/b": answer(200, b"<html></html>"), "/c": answer(200, CLIP)}[seen.path]

    async with serving(script) as server, fetcher(server) as clips:
        await clips.fetch(["file:///etc/passwd", *(f"{server.origin}/{name}" for name in "abcd")], target)
    assert [request.path for request in server.requests] == ["/a", "/b", "/c"]
    assert target.read_bytes() == CLIP


async def test_a_later_link_can_still_work_when_one_of_several_failed_only_for_now(target: Path) -> None:
    async with serving(lambda seen: answer(int(seen.path[1:]), b"<html></html>")) as server:
        here = server.origin
        error = await trouble(fetcher(server), target, f"{here}/200", f"{here}/200")
        assert (str(error), error.lasting) == ("the link leads to something that is no MP4 video", True)
        error = await trouble(fetcher(server), target, f"{here}/200", f"{here}/503")
        assert not error.lasting
    assert str(await trouble(ClipFetcher(trusted_hosts=[]), target)) == "there is no link"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_a_trusted_place_is_followed(target: Path, status: int) -> None:
    async with serving(answer(200, CLIP)) as there:
        away = answer(status, b"", {"Location": f"{there.origin}/v.mp4"})
        async with serving(away) as here, fetcher(here, there) as clips:
            await clips.fetch([f"{here.origin}/v.mp4"], target)
    assert target.read_bytes() == CLIP


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1:{port}/v.mp4",
        "https://127.0.0.1:{port}/v.mp4",
        "//127.0.0.1:{port}/v.mp4",
        "https://localhost:{port}/v.mp4",
        "http://localhost:{port}/v.mp4",
        "https://169.254.169.254/latest/meta-data",
        "http://example.com/v.mp4",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/v.mp4",
        "data:video/mp4;base64,AAAA",
    ],
)
async def test_a_redirect_to_a_place_that_is_not_allowed_is_refused(target: Path, place: str) -> None:
    async with serving(answer(200, CLIP)) as there:
        away = answer(302, b"", {"Location": place.format(port=there.port)})
        async with serving(away) as here:
            error = await trouble(fetcher(here), target, f"{here.origin}/v.mp4")
        assert there.connections == 0
    assert "is not allowed" in str(error)
    assert error.lasting


@pytest.mark.parametrize("headers", [{"Location": "/again"}, {}, {"Location": ""}])
async def test_a_redirect_in_circles_ends(target: Path, headers: dict[str, str]) -> None:
    async with serving(answer(302, b"", headers)) as server:
        error = await trouble(fetcher(server), target, f"{server.origin}/v.mp4")
    assert (str(error), error.lasting) == ("the link redirects in circles", True)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.1",
        "0x7f000001",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1%25eth0]",
        "[fec0::1]",
        "[fd00::1]",
        "[ff02::1]",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "224.0.0.1",
        "255.255.255.255",
        "localhost",
        "LOCALHOST",
        "127.0.0.1.",
        "127.0.0.1..",
        "127.0.1",
        "017700000001",
        "0x7F.0x0.0x0.0x1",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",  # noqa: RUF001 - digits that IDNA maps to plain ones
        "①②⑦.0.0.①",
        "127。0。0。1",
        "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
        "example.com@127.0.0.1",
        "user:word@localhost",
        "[::1%25lo]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[2001:0:7f00:1::]",
        "[64:ff9b::127.0.0.1]",
    ],
)
async def test_private_addresses_and_names_are_refused_in_every_spelling(target: Path, host: str) -> None:
    async with serving(answer(200, CLIP)) as server:
        error = await trouble(ClipFetcher(trusted_hosts=[]), target, f"https://{host}:{server.port}/v.mp4")
        assert server.connections == 0
    assert error.lasting


class Names(AbstractResolver):
    """Resolves every name to one answer after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        self.asked.append(host)
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in found
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "answer_with",
    [
        ["127.0.0.1"],
        ["1.1.1.1", "127.0.0.1"],
        ["2606:4700:4700::1111", "::ffff:10.0.0.1"],
        ["1.1.1.1", "fe80::1%eth0"],
        ["169.254.169.254"],
    ],
)
async def test_a_name_with_one_private_address_is_refused_whole(target: Path, answer_with: list[str]) -> None:
    async with serving(answer(200, CLIP)) as server:
        names = Names(answer_with)
        clips = ClipFetcher(trusted_hosts=[], resolver=names)
        error = await trouble(clips, target, f"https://clips.example:{server.port}/v.mp4")
        assert server.connections == 0
    assert str(error) == "the link's place clips.example is not allowed"
    assert error.lasting


async def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked(target: Path) -> None:
    async with serving(answer(200, CLIP)) as server:
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        async with ClipFetcher(trusted_hosts=["clips.example"], resolver=names) as clips:
            await clips.fetch([f"http://clips.example:{server.port}/v.mp4"], target)
    assert names.asked == ["clips.example"]
    assert [request.headers["host"] for request in server.requests] == [f"clips.example:{server.port}"]

    public = PublicResolver(frozenset(), Names(["1.1.1.1", "2606:4700:4700::1111"], ["127.0.0.1"]))
    assert [one["host"] for one in await public.resolve("clips.example")] == [
        "1.1.1.1",
        "2606:4700:4700::1111",
    ]
    with pytest.raises(FetchError, match="not allowed"):
        await public.resolve("clips.example")


async def test_every_redirect_is_resolved_and_checked_anew(target: Path) -> None:
    async with serving(answer(200, CLIP)) as there:
        away = answer(302, b"", {"Location": f"https://elsewhere.example:{there.port}/v.mp4"})
        async with serving(away) as here:
            names = Names(["127.0.0.1"])
            clips = ClipFetcher(trusted_hosts=["clips.example"], resolver=names)
            error = await trouble(clips, target, f"http://clips.example:{here.port}/v.mp4")
        assert (len(here.requests), there.connections) == (1, 0)
    assert names.asked == ["clips.example", "elsewhere.example"]
    assert str(error) == "the link's place elsewhere.example is not allowed"


@pytest.mark.parametrize(
    ("host", "verdict"),
    [
        ("clips.example", True),
        ("clips.example.", True),
        ("1.clips.example", True),
        ("127.0.0.1.example", True),
        ("0x7f.example", True),
        ("cafe", True),
        ("xn--bcher-kva.example", True),
        ("", False),
        (".", False),
        ("1", False),
        ("example.1", False),
        ("example.0x", False),
        ("127.0.0.1", False),
        ("127.0.0.1.", False),
        ("::1", False),
        ("fe80::1%25eth0", False),
    ],
)
def test_what_ends_in_a_number_is_no_name(host: str, verdict: bool) -> None:
    assert is_name(host) is verdict


async def test_what_the_resolver_refuses_arrives_as_it_was_raised(target: Path) -> None:
    error = await trouble(ClipFetcher(trusted_hosts=[]), target, "https://localhost/v.mp4")
    assert str(error) == "the link's place localhost is not allowed"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/v.mp4",
        "http://example.com/v.mp4",
        "file:///etc/passwd",
        "ftp://example.com/v.mp4",
        "unix:///var/run/docker.sock",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "/v.mp4",
        "",
        "https://",
        "https:///v.mp4",
        "https://example.com:99999/v.mp4",
        "https://[::1/v.mp4",
        f"https://{'a' * 64}.example/v.mp4",
        "\ud800",
    ],
)
async def test_links_that_are_none_are_refused_for_good(target: Path, url: str) -> None:
    assert (await trouble(ClipFetcher(trusted_hosts=[]), target, url)).lasting


@pytest.mark.parametrize("trusted", ["localhost", "LocalHost", "localhost:{port}"])
async def test_a_trusted_name_may_be_private_and_speak_plain_http(target: Path, trusted: str) -> None:
    async with serving(answer(200, CLIP)) as server:
        hosts = [trusted.format(port=server.port)]
        async with ClipFetcher(trusted_hosts=hosts) as clips:
            await clips.fetch([f"http://localhost:{server.port}/v.mp4"], target)
    assert target.read_bytes() == CLIP


@pytest.mark.parametrize("trusted", ["localhost:1", "127.0.0.1", "ocalhost", "localhost.evil.example"])
async def test_trust_in_one_place_is_no_trust_in_another(target: Path, trusted: str) -> None:
    async with serving(answer(200, CLIP)) as server:
        clips = ClipFetcher(trusted_hosts=[trusted])
        assert (await trouble(clips, target, f"http://localhost:{server.port}/v.mp4")).lasting
        assert server.connections == 0


async def test_a_trusted_host_is_still_asked_by_http_only(target: Path) -> None:
    clips = ClipFetcher(trusted_hosts=["localhost"])
    assert (await trouble(clips, target, "ftp://localhost/v.mp4")).lasting


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700:4700::1111", True),
        ("::ffff:1.1.1.1", True),
        ("64:ff9b::101:101", True),
        ("2002:101:101::", True),
        ("64:ff9b::a00:1", False),
        ("2001:db8::1", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
    ],
)
def test_an_address_is_public_by_what_it_reaches(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_ipv6_is_trusted_as_addresses_write_it() -> None:
    assert is_trusted({"[::1]:8080"}, "::1", 8080)
    assert is_trusted({"[::1]"}, "::1", 1)
    assert not is_trusted({"[::1]:8080"}, "::1", 80)


async def test_an_older_clip_stays_until_the_new_one_is_whole(target: Path) -> None:
    target.write_bytes(b"older")
    cut = answer(200, CLIP[:-1], {"Content-Length": str(len(CLIP))})
    async with serving(cut) as server, fetcher(server) as clips:
        with pytest.raises(FetchError):
            await clips.fetch([f"{server.origin}/v.mp4"], target)
    assert target.read_bytes() == b"older"
