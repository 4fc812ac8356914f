"""Addresses of the shop. They start where it is mounted; nothing here knows where that is."""

from catalogue import views
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

admin.site.site_header = admin.site.site_title = "The trivet shop"

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("orders/", views.orders, name="orders"),
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
