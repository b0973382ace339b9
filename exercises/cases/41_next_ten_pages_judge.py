"""How many of a moment's ten pages are those of the recording, without telling them all?"""

from memsim.lab.compare import Judged


def as_recorded(expected, got):
    """The share of the requests that got the recorded page."""
    requests = len(expected)
    if not isinstance(got, list) or len(got) != requests:
        return Judged(0.0, f"should be a list of {requests} pfns, one for each request")
    right = [
        type(page) is int and page == kernel for page, kernel in zip(got, expected, strict=True)
    ]
    if all(right):
        return Judged(1.0, f"all {requests} are the kernel's")
    first = right.index(False) + 1
    told = f"request {first} is the first that differs; {sum(right)} of {requests} are right"
    return Judged(sum(right) / requests, told)
