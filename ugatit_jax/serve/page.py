"""The page itself, in gradio."""

import base64
import logging
import pathlib
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image
from starlette.middleware import Middleware

from ugatit_jax.common.errors import UserError, named_line
from ugatit_jax.common.images import to_rgb
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.serve.body_limit import BodyLimit
from ugatit_jax.serve.examples import Examples
from ugatit_jax.serve.model import TRAIN, ServedModel
from ugatit_jax.serve.request_errors import RequestErrors

logger = logging.getLogger(__name__)

KEPT_SECONDS, CLEANING_SECONDS = 3600, 600  # of uploads and results
FRAME_SECONDS = 0.1  # between two images of a camera; slower where the generator is
CAMERA_SIZE = {'width': {'ideal': 640}, 'height': {'ideal': 480}}  # by itself gradio takes more, which generators do not see
CAMERA_SECONDS = 60  # of a visitor's camera in a row: others wait meanwhile
FORM_BYTES = 1_000_000  # of a request, beside the file in it
# fonts of the visitor's own machine: gradio's themes name some of Google's
FONTS = {'font': ['system-ui', 'sans-serif'], 'font_mono': ['ui-monospace', 'monospace']}
PHONE = '.gradio-container { padding: 12px !important; overflow-wrap: anywhere; }'


def take_as_uploaded(image: gr.Image, folder: str) -> None:
    """Lets a component hand on the path of the file that was uploaded, which by itself it would decode, whatever its size.

    Set on the component: for a class of its own gradio writes a stub file beside this module. folder: of uploads, results.
    Whether a path is in there gradio asks only where the caller says that it is a file, which a caller may leave out.
    """
    move = image.async_move_resource_to_block_cache

    async def move_file(path: Any) -> str | None:
        if path is not None and '://' in str(path):  # gradio would download it
            raise gr.Error('an image is uploaded as a file, not named by a URL', print_exception=False)
        return await move(path)

    def preprocess(payload: ImageData | None) -> str | None:
        if payload is None or payload.path is None:
            return None
        path = pathlib.Path(payload.path).resolve()
        if not (path.is_relative_to(pathlib.Path(folder).resolve()) and path.is_file()):
            raise gr.Error('the image is not here, or no longer; upload it', print_exception=False)
        return str(path)

    image.async_move_resource_to_block_cache, image.preprocess = move_file, preprocess


def take_frames(camera: gr.Image) -> None:
    """Lets a component hand on the bytes of the camera's images, which gradio would write into files of another format."""

    def preprocess(payload: ImageData | None) -> bytes | None:
        if payload is None:
            return None
        kind, _, text = (payload.url or '').partition(',')
        if not (kind.startswith('data:image/') and kind.endswith(';base64')):
            raise gr.Error('a frame is sent as data', print_exception=False)
        try:
            return base64.b64decode(text, validate=True)
        except ValueError as error:
            raise gr.Error(f'a frame is sent as base64: {error}', print_exception=False) from error

    camera.preprocess = preprocess


def show_frames(image: gr.Image) -> None:
    """Lets a component show the bytes of a JPEG file without a file."""
    image.postprocess = lambda data: data and ImageData(url=f'data:image/jpeg;base64,{base64.b64encode(data).decode()}')


def refuse_wrong_inputs(page: gr.Blocks) -> None:
    """Lets values that a call does not take be answered with one line, without paths of this server.

    By itself gradio sends the text of whatever its checks raised, and logs its traceback.
    """
    preprocess = page.preprocess_data

    async def refusing(fn: Any, *arguments: Any, **options: Any) -> list[Any]:
        try:
            return await preprocess(fn, *arguments, **options)
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception as error:
            logger.warning('%s: %s', fn.name, named_line(error.__cause__ or error))
            text = 'these inputs cannot be used; GET /gradio_api/info says what calls take'
            raise gr.Error(text, print_exception=False) from error

    page.preprocess_data = refusing


def launch(
    model: ServedModel, examples: dict[str, Examples], folder: str, host: str, port: int, max_queue: int
) -> gr.Blocks:
    """Starts the server in threads of its own, and returns the page; folder: for uploads and results."""
    page = build(model, examples, folder)
    # closed: a call outside of the queue would be computed beside it
    page.queue(max_size=max_queue, default_concurrency_limit=1, api_open=False)
    page.launch(
        server_name=host,
        server_port=port,
        max_file_size=model.limits.upload,
        app_kwargs={
            'middleware': [Middleware(RequestErrors), Middleware(BodyLimit, limit=model.limits.upload + FORM_BYTES)]
        },
        allowed_paths=[],
        share=False,
        inbrowser=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=True,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        footer_links=[],
        theme=gr.themes.Default(**FONTS),
        css=PHONE,
    )
    return page


def build(model: ServedModel, examples: dict[str, Examples], folder: str) -> gr.Blocks:
    """The page's components, and what their buttons do."""

    def translate(path: str | None, direction: str, size: str, heatmap: bool = False) -> tuple[str, str | None]:
        if path is None:
            raise gr.Error('first choose an image', print_exception=False)
        try:
            return model.translate_upload(path, folder, direction, size, heatmap)
        except (DecodeError, UserError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    def draw(direction: str, seed: float | None) -> Image.Image:
        if direction not in examples:
            raise gr.Error('there are no examples for this direction', print_exception=False)
        try:
            return Image.fromarray(to_rgb(examples[direction].draw(int(seed or 0))))
        except DecodeError as error:
            raise gr.Error(f'the example cannot be read: {error}', print_exception=False) from error

    def translate_frame(data: bytes | None, direction: str) -> bytes | None:
        try:
            return None if data is None else model.translate_frame(data, direction)
        except (DecodeError, UserError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    directions = [(f'{direction[0].upper()} to {direction[2].upper()}', direction) for direction in model.translators]
    sizes = [(text, size) for size, text in model.sizes.items()]
    with gr.Blocks(title='U-GAT-IT', analytics_enabled=False, delete_cache=(CLEANING_SECONDS, KEPT_SECONDS)) as page:
        gr.Markdown(
            f'# {model.any.loaded.name}\n'
            f'Step {model.any.loaded.step}, {model.any.loaded.weights} weights. Results are made by a generative model: say '
            'so where you show them. Images are computed on this server and deleted after an hour.'
        )
        direction = gr.Radio(directions, value=directions[0][1], label='direction', visible=len(directions) > 1)
        with gr.Tab('Image'), gr.Row():
            with gr.Column(min_width=280):
                given = gr.Image(
                    type='filepath',
                    format='png',  # of examples and the webcam; uploads are kept as they are
                    label='image',
                    sources=['upload', 'clipboard', 'webcam'],
                    height=300,
                    elem_id='given',
                )
                take_as_uploaded(given, folder)
                size = gr.Dropdown(sizes, value=TRAIN, label='size that the generator sees', visible=len(sizes) > 1)
                heatmap = gr.Checkbox(False, label='heatmap: where the generator looked', visible=model.has_heatmap)
                button = gr.Button('Translate', variant='primary', elem_id='translate')
                with gr.Row(visible=bool(examples)):
                    seed = gr.Number(0, precision=0, label='seed', min_width=90, elem_id='seed')
                    example = gr.Button('Example', min_width=120, elem_id='example')
            with gr.Column(min_width=280):
                translated = result_image('translated')
                attention = result_image('heatmap', visible=False)
        with gr.Tab('Camera', elem_id='camera_tab'), gr.Row():
            with gr.Column(min_width=280):
                camera = gr.Image(
                    sources=['webcam'],
                    streaming=True,
                    webcam_options=gr.WebcamOptions(constraints={'video': CAMERA_SIZE}),
                    label='camera',
                    height=300,
                    elem_id='camera',
                )
                take_frames(camera)
            with gr.Column(min_width=280):
                live = result_image('live')
                show_frames(live)
        heatmap.change(lambda shown: gr.Image(visible=shown), heatmap, attention, queue=False, api_name=False)
        button.click(
            translate,
            [given, direction, size, heatmap],
            [translated, attention],
            api_name='translate',
            scroll_to_output=True,
        )
        example.click(draw, [direction, seed], given, api_name='example')
        camera.stream(
            translate_frame,
            [camera, direction],
            live,
            stream_every=FRAME_SECONDS,
            time_limit=CAMERA_SECONDS,
            show_progress='hidden',
            api_name=False,
        )
    refuse_wrong_inputs(page)
    return page


def result_image(label: str, visible: bool = True) -> gr.Image:
    """A place for a result, which can be saved as it is."""
    return gr.Image(
        format='png',
        type='filepath',
        label=label,
        height=300,
        interactive=False,
        visible=visible,
        buttons=['download', 'fullscreen'],  # by default also one that publishes it elsewhere
        elem_id=label,
    )
