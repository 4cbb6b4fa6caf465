"""HTTP/2 over TLS, spoken by a server of the h2 library, well and badly."""

import shutil
import socket
import ssl
import subprocess
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest

from transforms import exchange
from transforms.deadletter import Unusable
from transforms.http import HttpClient

CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
    "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
)
OK = [(":status", "200")]


def respond(connection, path, stream):
    """What the server does for a path, beside sending its answer on."""
    if path == "/ok":
        connection.send_headers(stream, [*OK, ("etag", '"1"')])
        connection.send_data(stream, b"hello", end_stream=True)
    elif path == "/moved":
        connection.send_headers(stream, [(":status", "301"), ("location", "/ok")])
        connection.send_data(stream, b"gone", end_stream=True)
    elif path == "/short":
        connection.send_headers(stream, [*OK, ("content-length", "50")])
        connection.send_data(stream, b"hello", end_stream=True)
    elif path == "/headers":
        many = [(f"x-{n}", "v" * 1000 + str(n)) for n in range(200)]
        connection.send_headers(stream, [*OK, *many], end_stream=True)
    elif path in ("/large", "/lost"):
        status = "200" if path == "/large" else "404"
        connection.send_headers(stream, [(":status", status)])
        while (room := min(connection.local_flow_control_window(stream), 16_000)) > 0:
            connection.send_data(stream, bytes(room))
    elif path == "/reset":
        connection.reset_stream(stream)
    elif path == "/stop":
        connection.close_connection()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(CERTIFICATE.split(), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def server(certificate, monkeypatch):
    """The address of a server, whose certificate is trusted, and the protocols it agreed on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    context.set_alpn_protocols(["h2"])
    trusted = ssl.create_default_context(cafile=certificate / "cert.pem")
    monkeypatch.setattr(exchange, "trusted_certificates", lambda: trusted)
    protocols = []

    def serve(raw):
        try:
            with context.wrap_socket(raw, server_side=True) as secure:
                protocols.append(secure.selected_alpn_protocol())
                config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
                connection = h2.connection.H2Connection(config)
                connection.initiate_connection()
                secure.sendall(connection.data_to_send())
                while data := secure.recv(65536):
                    for event in connection.receive_data(data):
                        if isinstance(event, h2.events.RequestReceived):
                            respond(connection, dict(event.headers)[":path"], event.stream_id)
                    secure.sendall(connection.data_to_send())
        except (OSError, h2.exceptions.H2Error):
            pass  # The client has seen enough.

    def accept():
        while True:
            try:
                raw, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(raw,), daemon=True).start()

    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    yield f"https://127.0.0.1:{listening.getsockname()[1]}", protocols
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def test_pages_come_over_one_connection(server, http_policy):
    base, protocols = server
    client = HttpClient(http_policy())
    for path in ("/ok", "/moved", "/ok"):
        answer = client.get(base + path)
        assert (answer.body, answer.headers["etag"]) == (b"hello", '"1"')
    assert protocols == ["h2"]


@pytest.mark.parametrize(
    ("path", "error_type", "is_retryable"),
    [
        ("/short", "RemoteProtocolError", True),
        ("/reset", "RemoteProtocolError", True),
        ("/stop", "RemoteProtocolError", True),
        ("/headers", "TooLarge", False),
        ("/large", "TooLarge", False),
        ("/lost", "Http404", False),
        ("/silence", "ReadTimeout", True),
    ],
)
def test_a_bad_answer_does_not_touch_the_next(server, http_policy, path, error_type, is_retryable):
    base, _ = server
    client = HttpClient(http_policy(total_timeout=1.0, max_bytes=1000))
    with pytest.raises(Unusable) as caught:
        client.get(base + path)
    assert (caught.value.error_type, caught.value.retryable) == (error_type, is_retryable)
    assert client.get(base + "/ok").body == b"hello"
