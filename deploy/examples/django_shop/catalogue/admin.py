"""How the shop's keeper sees it."""

from django.contrib import admin

from .models import Order, Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """The shelf."""

    list_display = ["name", "price"]
    search_fields = ["name", "description"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """The order book."""

    list_display = ["placed", "product", "quantity", "customer", "client"]
    list_filter = ["product"]
    date_hierarchy = "placed"
    readonly_fields = ["client", "placed"]
