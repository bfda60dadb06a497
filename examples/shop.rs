//! A small HTTP program that plays the service of `stacks/shop`: orders in a SQLite database.
//!
//! `GET /orders` lists them, one a line; `POST /orders` adds one for what stands in the body;
//! `DELETE /orders` loses them all, which is what backups are for; `GET /healthz` says whether orders
//! can be read. It knows nothing of migrations, and runs on every schema that has `orders` with `item`.
//! Its environment: `PORT` where it listens, `DATABASE` the file, `RELEASE` what it says of itself,
//! `SHOP_BROKEN=1` to be unhealthy.

use rusqlite::{Connection, OpenFlags};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long one connection may keep a thread waiting, and a query for somebody else's write.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest head or body of a request that is read, in bytes.
const LONGEST: usize = 64 * 1024;

fn main() -> ExitCode {
    let Some(database) = variable("DATABASE") else {
        say("there is no DATABASE");
        return ExitCode::FAILURE;
    };
    let shop = Arc::new(Shop {
        database: database.into(),
        release: variable("RELEASE").unwrap_or_else(|| "1".to_owned()),
        broken: variable("SHOP_BROKEN").as_deref() == Some("1"),
    });
    let port = variable("PORT").unwrap_or_else(|| "8080".to_owned());
    let listener = match TcpListener::bind(format!("127.0.0.1:{port}")) {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!("port {port} cannot be had: {error}"));
            return ExitCode::FAILURE;
        }
    };
    say(&format!("release {} takes orders on port {port}", shop.release));
    for stream in listener.incoming().flatten() {
        let shop = Arc::clone(&shop);
        // Somebody who hangs up early is no reason to end.
        std::thread::spawn(move || shop.answer(&stream));
    }
    ExitCode::SUCCESS
}

/// Everything it was told when it started.
struct Shop {
    database: PathBuf,
    release: String,
    broken: bool,
}

type Answer = (&'static str, String);

impl Shop {
    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let request = Request::read(stream)?;
        let (status, body) = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/healthz") => self.health(),
            ("GET", "/orders") => answered(self.orders()),
            ("POST", "/orders") => match request.body.trim() {
                "" => ("400 Bad Request", "say what is ordered\n".to_owned()),
                item => answered(self.order(item)),
            },
            ("DELETE", "/orders") => answered(self.lose()),
            ("GET", "/") => ("200 OK", format!("the shop, release {}\n", self.release)),
            _ => ("404 Not Found", "there is nothing here\n".to_owned()),
        };
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    /// Opened for each request: who restores the data under it needs no restart of this.
    fn open(&self) -> rusqlite::Result<Connection> {
        // It does not make the database: that is not its business.
        let connection =
            Connection::open_with_flags(&self.database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(PATIENCE)?;
        Ok(connection)
    }

    fn health(&self) -> Answer {
        if self.broken {
            return ("500 Internal Server Error", "this release is broken\n".to_owned());
        }
        let count = |it: Connection| it.query_row("SELECT count(*) FROM orders", [], |_| Ok(()));
        answered(self.open().and_then(count).map(|()| "healthy\n".to_owned()))
    }

    fn orders(&self) -> rusqlite::Result<String> {
        let connection = self.open()?;
        let mut query = connection.prepare("SELECT id, item FROM orders ORDER BY id")?;
        let line = |row: &rusqlite::Row<'_>| {
            Ok(format!("{} {}\n", row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        };
        query.query_map([], line)?.collect()
    }

    fn order(&self, item: &str) -> rusqlite::Result<String> {
        let connection = self.open()?;
        connection.execute("INSERT INTO orders (item) VALUES (?1)", [item])?;
        Ok(format!("order {}\n", connection.last_insert_rowid()))
    }

    fn lose(&self) -> rusqlite::Result<String> {
        let lost = self.open()?.execute("DELETE FROM orders", [])?;
        Ok(format!("{lost} orders are lost\n"))
    }
}

fn answered(result: rusqlite::Result<String>) -> Answer {
    match result {
        Ok(body) => ("200 OK", body),
        Err(error) => ("500 Internal Server Error", format!("the database says: {error}\n")),
    }
}

/// What is asked.
struct Request {
    method: String,
    path: String,
    body: String,
}

impl Request {
    fn read(stream: &TcpStream) -> io::Result<Self> {
        let mut reader = BufReader::new(stream.take(2 * LONGEST as u64));
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut words = first.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; LONGEST.min(length)];
        reader.read_exact(&mut body)?;
        Ok(Self { method, path, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, told by its environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// One line for the service's log.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "shop: {line}");
}
