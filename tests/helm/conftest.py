"""The two majors of helm."""

import pytest
import toolbox


@pytest.fixture(scope="session", params=sorted(toolbox.HELM))
def helm(request):
    return toolbox.required(lambda: toolbox.helm(request.param))


@pytest.fixture(scope="session")
def newest_helm():
    return toolbox.required(lambda: toolbox.helm(max(toolbox.HELM)))
