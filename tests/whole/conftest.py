from collections.abc import Iterator

import pytest

from tests.whole.over import Choice


@pytest.fixture(scope="module", params=["http", pytest.param("https", marks=pytest.mark.slow)])
def over(request: pytest.FixtureRequest) -> Iterator[str]:
    """Everything twice: what `running` starts and `Talk` and `Browser` ask is plain, then encrypted."""
    Choice.is_secure = request.param == "https"
    yield request.param
    Choice.is_secure = False
