"""The course for reading and for lecturing where no kernel runs: decks of slides, static pages."""
