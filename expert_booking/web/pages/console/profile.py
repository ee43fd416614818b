"""`/console/profile`: the expert's photo, profile, emails, address, calendar feed and assistants."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from fastapi import Request
from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element
from pydantic import ValidationError

from expert_booking.domain.errors import FieldsWrong, Forbidden, ProfileChanged, Refusal, SlugTaken
from expert_booking.schemas import AssistantList, Caller, ExpertChange, ExpertRecord, Model, field_errors
from expert_booking.schemas.fields import Email
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from expert_booking.services.feeds import FeedOwner
from expert_booking.web import console, layout
from expert_booking.web.components.address_boxes import AddressBox, AssistantsBox
from expert_booking.web.components.feed_box import FEED_MESSAGES, FeedBox
from expert_booking.web.components.photo_box import PhotoBox
from expert_booking.web.components.profile_form import LABELS, ProfileForm, values_of

_ASSISTANT: Final = Markup('<p class="note">You run this calendar as an assistant of {}.</p>')
_WARN_BEFORE_LEAVING: Final = "window.onbeforeunload = %s"


class _Address(Model):
    email: Email


def mount(services: Services) -> None:
    """Serve the page."""

    @console.page(services, "profile")
    async def profile(page: console.Console, request: Request) -> None:
        view = ProfilePage(page)
        page.subscribe(view.refresh)
        await view.load()
        with page.frame("profile", "Profile"):
            view.draw()


class ProfilePage:
    """A profile that is being edited. What others change appears at once, unless it would replace what was typed."""

    _record: ExpertRecord
    _form: ProfileForm

    def __init__(self, page: console.Console) -> None:
        self._page = page
        self._services = page.services
        # Assistants run the calendar, but not the expert's address, feed and assistants.
        self._owner = not page.expert.is_assisted
        self._assistants: AssistantList | None = None
        self._categories: Sequence[str] = ()
        self._was_dirty = False

    async def load(self) -> None:
        """Read the profile."""
        caller = self._page.identity.host_of(self._page.expert.id)
        key = await self._services.calendars.key(str(self._page.expert.id), caller)
        await self._read(key)
        self._categories = await self._services.experts.categories()

    async def refresh(self) -> None:
        """Show what has changed elsewhere, except in the form while it has unsaved changes."""
        caller = await self._page.caller()
        if caller is None:
            self._page.refused(console.SIGNED_OUT)
            return
        await self._read(await self._services.calendars.key(str(self._page.expert.id), caller))
        self._show_boxes()
        if not self._form.changes():
            self._form.show(self._record)

    def draw(self) -> None:
        """Draw the boxes and the form."""
        with Element("div").classes("profile-page"):
            with Element("form").classes("profile-form").props("novalidate").on("submit.prevent", self._save, args=[]):
                self._photo = PhotoBox(self._record, on_upload=self._upload, on_remove=self._remove_photo)
                self._form = ProfileForm(self._record, self._categories, on_change=self._show_mark)
                self._conflict = Element("div").classes("note warn").props("role=alert")
                self._conflict.set_visibility(False)
                with Element("div").classes("profile-save"):
                    ui.button("Save").props("unelevated no-caps type=submit")
                    self._discard = ui.button("Discard changes", on_click=self._discard_changes).props("flat no-caps")
                    self._mark = ui.label("").classes("soft")
            with Element("div").classes("profile-side"):
                self._draw_side()
        self._show_mark()

    def _draw_side(self) -> None:
        ui.link("See your public page", f"/expert/{self._record.slug}").classes("public-link")
        if not self._owner:
            layout.html(_ASSISTANT.format(self._record.name))
            return
        self._address = AddressBox(self._record, on_change=self._change_address)
        feed = FeedBox(title="Calendar feed", on_action=lambda action: self._change_feed(action, feed))
        assert self._assistants is not None
        self._assistants_box = AssistantsBox(
            self._assistants, on_add=self._add_assistant, on_remove=self._remove_assistant
        )

    # --- the form -----------------------------------------------------------------------------------------------

    async def _save(self) -> None:
        changes = self._form.changes()
        self._form.show_errors({})
        if not changes:
            self._page.saved()
            return
        try:
            change = ExpertChange.model_validate(changes)
        except ValidationError as error:
            self._show_errors({one.field.partition(".")[0]: one.message for one in field_errors(error)})
            return
        version = self._form.record.version
        if await self._act(
            lambda key: self._services.calendars.change_expert(key, change, [version]), catch=self._show_refusal
        ):
            self._conflict.set_visibility(False)
            self._form.show(self._record)
            self._show_mark()
            self._follow_slug()
            self._page.saved()

    def _show_refusal(self, refusal: Refusal) -> bool:
        """Show a refusal in the form; False if it does not belong there."""
        if isinstance(refusal, ProfileChanged):
            self._show_conflict()
        elif isinstance(refusal, SlugTaken):
            self._show_errors({"slug": str(refusal)})
        elif isinstance(refusal, FieldsWrong):
            self._show_errors(refusal.errors)
        else:
            return False
        return True

    def _show_errors(self, errors: Any) -> None:
        self._page.refused(" ".join(self._form.show_errors(errors)))

    def _show_conflict(self) -> None:
        before, now, mine = values_of(self._form.record), values_of(self._record), self._form.changes()
        changed = [LABELS[name] for name in LABELS if now[name] != before[name]]
        both = [LABELS[name] for name in mine if now[name] != before[name]]
        self._conflict.clear()
        with self._conflict:
            ui.label(f"This profile was changed elsewhere while you were editing it: {', '.join(changed) or 'status'}.")
            if both:
                ui.label(f"You have changed this, too: {', '.join(both)}.")
            with Element("div").classes("actions"):
                ui.button("Keep my changes and save", on_click=self._keep_mine).props("unelevated no-caps")
                ui.button("Discard my changes", on_click=self._discard_changes).props("flat no-caps")
        self._conflict.set_visibility(True)

    async def _keep_mine(self) -> None:
        self._form.show(self._record, keep=self._form.changes())
        await self._save()

    def _discard_changes(self) -> None:
        self._conflict.set_visibility(False)
        self._form.show(self._record)
        self._show_mark()

    def _show_mark(self) -> None:
        dirty = bool(self._form.changes())
        self._mark.set_text("Unsaved changes" if dirty else "")
        self._discard.set_visibility(dirty)
        if dirty != self._was_dirty:
            self._was_dirty = dirty
            ui.run_javascript(_WARN_BEFORE_LEAVING % ("(event) => event.preventDefault()" if dirty else "null"))

    def _follow_slug(self) -> None:
        """Have the links of this page use a new slug."""
        if self._record.slug != self._page.expert.slug:
            self._page.expert = self._page.expert.model_copy(
                update={"slug": self._record.slug, "name": self._record.name}
            )
            ui.navigate.to(self._page.url("profile"))

    # --- the boxes ----------------------------------------------------------------------------------------------

    async def _upload(self, content: bytes) -> str:
        return await self._change_box(lambda key: self._services.photos.put(key, content))

    async def _remove_photo(self) -> str:
        return await self._change_box(self._services.photos.remove)

    async def _change_address(self, email: str) -> str:
        try:
            change = ExpertChange.model_validate({"email": email})
        except ValidationError as error:
            return field_errors(error)[0].message
        return await self._change_box(lambda key: self._services.calendars.change_expert(key, change))

    async def _add_assistant(self, email: str) -> str:
        try:
            address = _Address(email=email).email
        except ValidationError as error:
            return field_errors(error)[0].message
        return await self._change_box(lambda key: self._services.assistants.add(key, address))

    async def _remove_assistant(self, email: str) -> None:
        await self._change_box(lambda key: self._services.assistants.remove(key, email))

    async def _change_box(self, change: Callable[[CalendarKey], Awaitable[Any]]) -> str:
        """Make a change that has no Save button, and return the error to show next to it."""
        refused: list[str] = []

        def catch(refusal: Refusal) -> bool:
            refused.append(str(refusal))
            return True

        if await self._act(change, catch=catch):
            self._show_boxes()
            self._page.saved()
        return "".join(refused)

    async def _change_feed(self, action: str, box: FeedBox) -> None:
        owner, feeds = FeedOwner(expert_id=self._page.expert.id), self._services.feeds
        change = {"open": feeds.open, "renew": feeds.renew, "close": feeds.close}[action]

        async def change_own(caller: Caller) -> str:
            if caller.assistant:
                raise Forbidden
            return await change(owner) or ""

        url = await self._page.run(change_own)
        if url is None:
            box.done()
        else:
            box.show(url, FEED_MESSAGES[action])

    def _show_boxes(self) -> None:
        self._photo.show(self._record)
        if self._owner and self._assistants is not None:
            self._address.show(self._record)
            self._assistants_box.show(self._assistants)

    # ------------------------------------------------------------------------------------------------------------

    async def _act(self, change: Callable[[CalendarKey], Awaitable[Any]], *, catch: Callable[[Refusal], bool]) -> bool:
        """Make a change as the host who is signed in, and read the profile again. Returns whether it was made.

        `catch` shows a refusal and returns True, or leaves it to the page's alert.
        """

        async def action(caller: Caller) -> bool:
            key = await self._services.calendars.key(str(self._page.expert.id), caller)
            try:
                await change(key)
            except Refusal as refusal:
                await self._read(key)
                if catch(refusal):
                    return False
                raise
            await self._read(key)
            return True

        return await self._page.run(action) is True

    async def _read(self, key: CalendarKey) -> None:
        self._record = await self._services.calendars.expert(key)
        if self._owner:
            self._assistants = await self._services.assistants.list(key)
