"""Self-contained HTML pages from the templates in ugatit_jax/report/templates; every page extends base.html."""

import base64
import io

import jinja2
import numpy as np
from PIL import Image

from ugatit_jax.report.titles import breakable, image_title


def render(template: str, **fields: object) -> str:
    """The HTML of a template ('run.html') with `fields`, which are escaped; a missing field raises an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('ugatit_jax.report'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {'breakable': breakable, 'image_title': image_title}
    return environment.get_template(template).render(**fields)


def data_uri(image: Image.Image | np.ndarray, quality: int | None = None) -> str:
    """An image, or uint8 [h, w, 3], as a data URI for <img src>: PNG, or JPEG of `quality` where that is given."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    if quality is None:
        image.save(file, 'PNG')
    else:
        image.convert('RGB').save(file, 'JPEG', quality=quality)
    kind = 'png' if quality is None else 'jpeg'
    return f'data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}'
