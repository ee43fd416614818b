"""The photo of an expert: shown, uploaded or dropped, and removed."""

from collections.abc import Awaitable, Callable
from typing import Final

from markupsafe import Markup
from nicegui import events, ui

from expert_booking.domain import photo_images
from expert_booking.schemas import ExpertRecord
from expert_booking.web.components.raw_html import RawHtml, plain_json
from expert_booking.web.expert_urls import portrait_url

_PICTURE: Final = Markup('<img class="portrait" src="{url}" width="132" height="132" alt="{alt}">')
_HINT: Final = (
    "JPEG, PNG or WebP, at most 5 MB. The middle of the picture is shown; where and when it was taken is removed."
)
_REJECTED: Final = "Please choose a JPEG, PNG or WebP picture of at most 5 MB."
# Quasar's own header is a toolbar whose buttons have no names. Its file input has to be there, but is not shown.
_HEADER: Final = """
<div class="photo-drop"><q-btn outline color="primary" no-caps label="Choose a picture" @click="props.pickFiles" />
<span>or drop it here</span><span style="display: none"><q-uploader-add-trigger /></span></div>"""


class PhotoBox:
    """Builds the box. `on_upload` gets the bytes of a file, and `on_remove` is called to remove the photo.

    Both return the error to show, or an empty text.
    """

    def __init__(
        self,
        record: ExpertRecord,
        *,
        on_upload: Callable[[bytes], Awaitable[str]],
        on_remove: Callable[[], Awaitable[str]],
    ) -> None:
        self._on_upload = on_upload
        self._on_remove = on_remove
        with ui.element("section").classes("panel profile-panel photo-box"):
            RawHtml(plain_json("Photo"), tag="h2")
            self._picture = RawHtml(plain_json(_picture(record)))
            with ui.element("div").classes("photo-actions"):
                self._upload = ui.upload(
                    on_upload=self._uploaded,
                    on_rejected=lambda: self._show_error(_REJECTED),
                    max_file_size=photo_images.MAX_BYTES,
                    auto_upload=True,
                ).props('accept="image/jpeg,image/png,image/webp" flat no-thumbnails')
                self._upload.add_slot("header", _HEADER)
                self._upload.add_slot("list", "<span></span>")
                self._upload.on("failed", lambda: self._show_error(_REJECTED), args=[])
                self._remove = ui.button("Remove photo", on_click=self._removed).props("flat no-caps")
                self._error = ui.label("").classes("bad").props("role=alert")
                ui.label(_HINT).classes("soft small")
            self._remove.set_visibility(record.photo is not None)

    def show(self, record: ExpertRecord) -> None:
        """Show the photo of this profile, or the drawn portrait."""
        self._picture.show(_picture(record))
        self._remove.set_visibility(record.photo is not None)

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        self._show_error(await self._on_upload(await event.file.read()))
        self._upload.reset()

    async def _removed(self) -> None:
        self._show_error(await self._on_remove())

    def _show_error(self, text: str) -> None:
        self._error.set_text(text)


def _picture(record: ExpertRecord) -> Markup:
    alt = "Your photo" if record.photo else "The drawing that is shown until you choose a photo"
    return _PICTURE.format(url=portrait_url(record, "medium"), alt=alt)
