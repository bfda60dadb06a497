//! The two streams: stdout for the result, stderr for progress and messages.

use super::progress::ProgressMode;
use super::style::Style;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Mutex;

/// What a person set, from arguments and environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `--no-color`, `NO_COLOR` or `TERM=dumb`.
    pub no_colour: bool,
    /// `TERM=dumb`: nothing may be drawn twice.
    pub dumb: bool,
    /// `COLUMNS`.
    pub columns: Option<usize>,
    /// `-q`.
    pub quiet: bool,
    /// `--format json`.
    pub json: bool,
}

/// Where everything is printed.
pub struct Screen {
    out: Mutex<Stream>,
    err: Mutex<Stream>,
    out_style: Style,
    err_style: Style,
    mode: ProgressMode,
}

struct Stream {
    to: Box<dyn Write + Send>,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Whoever read has gone. That is no error: they have seen what they wanted.
    Gone,
    /// What was printed is not all there.
    Failed(String),
}

impl Screen {
    /// The program's own streams.
    pub fn of_program(wishes: Wishes) -> Self {
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
        let width = |terminal: bool, size: Option<usize>| match (terminal, wishes.columns, size) {
            (true, Some(columns), _) | (true, None, Some(columns)) => columns.max(20),
            _ => Style::PLAIN.width,
        };
        let style = |terminal: bool, size: Option<usize>| Style {
            colour: terminal && !wishes.no_colour && !wishes.dumb,
            width: width(terminal, size),
        };
        let mode = match () {
            () if wishes.json => ProgressMode::Json,
            () if wishes.quiet => ProgressMode::Quiet,
            () if err_terminal && !wishes.dumb => ProgressMode::Bars,
            () => ProgressMode::Lines,
        };
        Self {
            out_style: style(out_terminal, columns_of(&out)),
            err_style: style(err_terminal, columns_of(&err)),
            out: Mutex::new(Stream::new(Box::new(out))),
            err: Mutex::new(Stream::new(Box::new(err))),
            mode,
        }
    }

    /// Other streams, without colour: for tests.
    pub fn over(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        mode: ProgressMode,
    ) -> Self {
        Self {
            out: Mutex::new(Stream::new(out)),
            err: Mutex::new(Stream::new(err)),
            out_style: Style::PLAIN,
            err_style: Style::PLAIN,
            mode,
        }
    }

    /// How results are shown.
    pub fn result_style(&self) -> Style {
        self.out_style
    }

    /// How messages are shown.
    pub fn message_style(&self) -> Style {
        self.err_style
    }

    /// How progress is shown.
    pub fn mode(&self) -> ProgressMode {
        self.mode
    }

    /// Prints a part of the result.
    pub fn result(&self, text: &str) {
        print(&self.out, text.as_bytes());
    }

    /// Prints a result that is not text.
    pub fn result_bytes(&self, bytes: &[u8]) {
        print(&self.out, bytes);
    }

    /// Prints a message.
    pub fn message(&self, text: &str) {
        print(&self.err, text.as_bytes());
    }

    /// Whether somebody still reads the result: what goes on for ever ends here.
    pub fn is_read(&self) -> bool {
        self.out.lock().is_ok_and(|stream| stream.state != State::Gone)
    }

    /// Why the result is not all there; none where it is, or where nobody wanted to read it.
    pub fn failure(&self) -> Option<String> {
        match &self.out.lock().ok()?.state {
            State::Failed(why) => Some(why.clone()),
            State::Open | State::Gone => None,
        }
    }
}

impl Stream {
    fn new(to: Box<dyn Write + Send>) -> Self {
        Self { to, state: State::Open }
    }
}

fn print(stream: &Mutex<Stream>, bytes: &[u8]) {
    let Ok(mut stream) = stream.lock() else { return };
    if stream.state != State::Open {
        return;
    }
    let written = stream.to.write_all(bytes).and_then(|()| stream.to.flush());
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => stream.state = State::Gone,
        Err(error) => stream.state = State::Failed(error.to_string()),
    }
}

/// The columns of the terminal behind a stream.
fn columns_of(stream: &impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn screen(kind: ErrorKind) -> Screen {
        Screen::over(Box::new(Fails(kind)), Box::new(std::io::sink()), ProgressMode::Lines)
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let screen = screen(ErrorKind::BrokenPipe);
        screen.result("text");
        assert_eq!(screen.failure(), None);
        assert!(!screen.is_read());
    }

    #[test]
    fn a_full_disk_is_one() {
        let screen = screen(ErrorKind::StorageFull);
        screen.result("text");
        assert!(screen.failure().is_some());
    }
}
