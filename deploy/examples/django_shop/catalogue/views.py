"""Two pages: the catalogue with its order form, and the order book behind a login."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from .models import Order, Product


class OrderForm(forms.ModelForm):
    """What a customer fills in."""

    class Meta:
        model = Order
        fields = ["product", "quantity", "customer"]


def catalogue(request: HttpRequest) -> HttpResponse:
    """Show what there is, and take an order."""
    form = OrderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        order = form.save(commit=False)
        order.client = request.META["REMOTE_ADDR"] or None  # empty when the client came over a Unix socket
        order.save()
        messages.success(request, f"Thank you. We noted {order}.")
        return redirect("catalogue")
    return render(request, "catalogue/catalogue.html", {"products": Product.objects.all(), "form": form})


@login_required
def orders(request: HttpRequest) -> HttpResponse:
    """Show the newest orders to who is logged in."""
    newest = Order.objects.select_related("product")[:50]
    return render(request, "catalogue/orders.html", {"orders": newest})
