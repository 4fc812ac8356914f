"""What the shop sells, and what was ordered."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class Product(models.Model):
    """A thing on the shelf."""

    name = models.CharField(max_length=80, unique=True)
    description = models.TextField(max_length=400, blank=True)
    price = models.DecimalField(max_digits=7, decimal_places=2, validators=[MinValueValidator(0)])

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """A wish somebody sent through the form."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE)
    quantity = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(99)]
    )
    customer = models.CharField("your name", max_length=80)
    client = models.GenericIPAddressField(null=True, editable=False)
    placed = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-placed"]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product} for {self.customer}"
