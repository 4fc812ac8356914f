"""Django: a view with the usual middleware, a template of thirty rows and a session read and written."""

# mypy: disable-error-code="import-untyped"

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

PAGE = """<!doctype html><html><head><title>{{ title }}</title></head><body>
<h1>{{ title|upper }}</h1><p>Visit number {{ visits }}, from {{ request.path }}</p>
<table>{% for row in rows %}<tr class="{% cycle 'odd' 'even' %}">
<td>{{ row.number }}</td><td>{{ row.name|title }}</td><td>{% if row.price %}{{ row.price|floatformat:2 }}{% endif %}</td>
</tr>{% endfor %}</table></body></html>
"""  # noqa: E501
ROWS = [{"number": n, "name": f"thing <{n}> & more", "price": n * 1.25} for n in range(30)]

settings.configure(
    SECRET_KEY="only for measuring, never for a site",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    # A session in a signed cookie: no database whose own cost would hide the servers'.
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    ("django.template.loaders.cached.Loader", [
                        ("django.template.loaders.locmem.Loader", {"page.html": PAGE}),
                    ]),
                ],
                "context_processors": ["django.template.context_processors.request"],
            },
        },
    ],
)  # fmt: skip
django.setup()


def page(request: HttpRequest) -> HttpResponse:
    visits = request.session.get("visits", 0) + 1
    request.session["visits"] = visits
    return render(request, "page.html", {"title": "a page", "visits": visits, "rows": ROWS})


urlpatterns = [path("", page)]
application = get_wsgi_application()
