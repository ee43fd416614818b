"""The base of components that ask Python for something and wait for its answer. Their scripts share question.js."""

from typing import Any

from nicegui.element import Element


class Question(Element, dependencies=["question.js"]):
    """Waits for the answer to what it has asked, and shows an error if it cannot be done or no answer comes."""

    def change(self, **props: Any) -> None:
        """Change these properties. Unchanged ones are not sent again, so focus and selection survive."""
        if any(self._props.get(name) != value for name, value in props.items()):
            self._props.update(props)
            self.update()

    def done(self, error: str = "") -> None:
        """Enable the buttons again, and show the error if there is one."""
        self.run_method("done", error)
