"""JSON inside HTML."""


def in_script(json: str) -> str:
    r"""The same JSON, which cannot end the script element that it stands in.

    >>> print(in_script('["</script>"]'))
    ["\u003c/script>"]
    """
    return json.replace("<", "\\u003c")
