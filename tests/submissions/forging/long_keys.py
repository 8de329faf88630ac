# A dict whose keys are megabytes of markup and control characters: a report stays short.
#
# earns: 56

# %% role="answer" name="centre"
def centre(x):
    return {"\x1b[31m<script>alert(1)</script>\u202e\x00" * 50_000: 1, "\ud800": 2}
