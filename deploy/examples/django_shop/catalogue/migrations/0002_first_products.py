"""Three things to sell, so that the first page is not empty."""

from decimal import Decimal

from django.db import migrations

PRODUCTS = [
    ("Cast iron trivet", "Carries a pot of twelve litres and does not mind the fire.", Decimal("24.50")),
    ("Cork trivet", "Light, quiet, and kind to the table.", Decimal("7.90")),
    ("Folding trivet", "Three legs of brass that go into a pocket.", Decimal("18.00")),
]


def put_on_shelf(apps, _schema_editor):
    product = apps.get_model("catalogue", "Product")
    for name, description, price in PRODUCTS:
        product.objects.get_or_create(name=name, defaults={"description": description, "price": price})


class Migration(migrations.Migration):
    dependencies = [("catalogue", "0001_initial")]
    operations = [migrations.RunPython(put_on_shelf, migrations.RunPython.noop)]
