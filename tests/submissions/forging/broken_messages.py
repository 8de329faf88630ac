# Messages that are no messages: nested 100,000 times, no JSON, keys missing, wrong types, a bad
# signature, binary frames.
#
# earns: 0

# %% role="answer" name="centre"
def centre(x):
    kernel = get_ipython().kernel
    session, socket = kernel.session, kernel.iopub_socket
    pack = session.pack
    good = {"msg_id": "1", "msg_type": "stream", "session": "x", "username": "", "date": "never"}
    parent = pack(kernel.get_parent("shell")["header"])
    deep = b"[" * 100_000 + b"]" * 100_000
    for header, content in [
        (pack(good), deep),
        (deep, b"{}"),
        (b"{", b"{"),
        (b"[]", b"null"),
        (pack({"msg_type": 7}), b'{"name": []}'),
        (pack(good | {"msg_type": "display_data"}), b'{"data": 1, "metadata": [[]]}'),
        (pack(good | {"msg_type": "stream"}), b'{"name": {}, "text": 1e400}'),
        (pack(good | {"msg_type": "error"}), b'{"ename": [], "evalue": {}, "traceback": 7}'),
        (pack(good | {"msg_type": "status"}), b"{}"),
        (b"\xff\xfe", b"\x00" * 1000),
    ]:
        frames = [header, parent, b"{}", content]
        raw = [b"topic", b"<IDS|MSG>", session.sign(frames), *frames, b"\x00" * 1000]
        socket.send_multipart(raw)
        socket.send_multipart(raw[:4])
        socket.send_multipart([b"topic", b"<IDS|MSG>", b"no signature", *frames])
    return x
