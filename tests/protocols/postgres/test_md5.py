from protocols.postgres.md5 import md5_response


def test_the_response_is_that_of_the_manual_formula():
    # The same with md5sum(1): of "pencilapp", then of that digest in hex and the four bytes.
    assert md5_response(b"pencil", b"app", b"\1\2\3\4") == b"md54bfca4ca571b8df74c2fc2247888d96f"
