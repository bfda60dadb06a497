//! A proxy on the way to a server that fails when told to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How the way fails.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Fault {
    /// It does not.
    #[default]
    None,
    /// Each new connection is closed at once.
    Refused,
    /// Every request gets this answer of HTTP with an S3 error, so many times; after that none.
    Status { code: u16, times: u64 },
    /// Each connection is cut after so many bytes from the client.
    CutAfter(u64),
    /// Each connection is cut after so many bytes from the server.
    CutAnswerAfter(u64),
    /// Nothing more is taken from clients behind so many bytes of all connections, which stay.
    StallAfter(u64),
    /// Nothing more comes from the server behind so many bytes of all connections, which stay.
    StallAnswerAfter(u64),
    /// Every piece of at most 16 KiB waits so long.
    Slow(Duration),
    /// Connections are taken, and nothing is ever answered.
    Silent,
}

/// A TCP proxy to a port of the loopback interface.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    to: u16,
    fault: Mutex<Fault>,
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicU64,
    packets: AtomicU64,
    faults: AtomicU64,
    /// Bytes of the way that a stall counts, since the fault was set.
    carried: AtomicU64,
    ended: AtomicBool,
}

impl Proxy {
    /// A proxy to this port, without a fault.
    #[must_use]
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let own = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            to: port,
            fault: Mutex::default(),
            open: Mutex::default(),
            connections: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let listening = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if listening.ended.load(Ordering::SeqCst) {
                    return;
                }
                listening.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&listening);
                std::thread::spawn(move || shared.carry(stream));
            }
        });
        Self { port: own, shared }
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The endpoint of an S3 behind it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on it fails like this; what is open is cut.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        self.shared.carried.store(0, Ordering::SeqCst);
        self.shared.cut();
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many pieces were carried to the server: each is what one read yielded.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.shared.packets.load(Ordering::SeqCst)
    }

    /// How many faults took place.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.cut();
        // Wakes the listener up, so that it sees its end.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn cut(&self) {
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One that is closed already is what was wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn fault(&self) -> Fault {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes one of the answers that are still to be given.
    fn take(&self) -> Option<u16> {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let Fault::Status { code, times } = &mut *fault else { return None };
        let code = *code;
        *times = times.saturating_sub(1);
        if *times == 0 {
            *fault = Fault::None;
        }
        self.faults.fetch_add(1, Ordering::SeqCst);
        Some(code)
    }

    fn carry(self: Arc<Self>, client: TcpStream) {
        match self.fault() {
            Fault::Refused => {
                self.faults.fetch_add(1, Ordering::SeqCst);
                let _ = client.shutdown(Shutdown::Both);
                return;
            }
            Fault::Silent => {
                self.faults.fetch_add(1, Ordering::SeqCst);
                self.open.lock().unwrap_or_else(PoisonError::into_inner).push(client);
                return;
            }
            Fault::Status { .. } => {
                if let Some(code) = self.take() {
                    answer(client, code);
                    return;
                }
            }
            _ => {}
        }
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.to)) else { return };
        let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else {
            return;
        };
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.extend(client.try_clone());
            open.extend(server.try_clone());
        }
        let back = Arc::clone(&self);
        let backward = std::thread::spawn(move || back.pipe(from_server, client, false));
        self.pipe(from_client, server, true);
        let _ = backward.join();
    }

    /// Whether nothing more goes this way, now that so many bytes have gone.
    fn stalls(&self, bytes: usize, forward: bool) -> bool {
        let end = match self.fault() {
            Fault::StallAfter(end) if forward => end,
            Fault::StallAnswerAfter(end) if !forward => end,
            _ => return false,
        };
        let bytes = bytes as u64;
        self.carried.fetch_add(bytes, Ordering::SeqCst) + bytes >= end
    }

    /// Holds a connection on which nothing moves, until the fault is another.
    fn hold(&self) {
        let fault = self.fault();
        while self.fault() == fault && !self.ended.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Carries bytes one way until either side ends or the fault says so.
    fn pipe(&self, mut from: TcpStream, mut to: TcpStream, forward: bool) {
        let mut carried = 0u64;
        let mut piece = vec![0u8; 16 * 1024];
        while let Ok(count) = from.read(&mut piece) {
            if count == 0 {
                break;
            }
            self.packets.fetch_add(u64::from(forward), Ordering::SeqCst);
            let mut let_through = count;
            let mut cut = false;
            match self.fault() {
                Fault::Slow(time) => std::thread::sleep(time),
                Fault::CutAfter(end) if forward => {
                    cut = carried + count as u64 >= end;
                    let left = end.saturating_sub(carried);
                    let_through = count.min(usize::try_from(left).unwrap_or(count));
                }
                Fault::CutAnswerAfter(end) if !forward => {
                    cut = carried + count as u64 >= end;
                    let left = end.saturating_sub(carried);
                    let_through = count.min(usize::try_from(left).unwrap_or(count));
                }
                _ => {}
            }
            if self.stalls(let_through, forward) {
                self.faults.fetch_add(1, Ordering::SeqCst);
                self.hold();
                break;
            }
            if to.write_all(&piece[..let_through]).is_err() {
                break;
            }
            carried += let_through as u64;
            if cut {
                self.faults.fetch_add(1, Ordering::SeqCst);
                break;
            }
        }
        // Whichever way ended, the other has nothing more to say.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Reads a request with its body and answers it with an error as S3 does.
fn answer(mut client: TcpStream, code: u16) {
    let _ = client.set_read_timeout(Some(Duration::from_millis(300)));
    let mut piece = vec![0u8; 16 * 1024];
    // The client is let finish what it wants to say, else it takes the answer for a cut.
    while client.read(&mut piece).is_ok_and(|it| it > 0) {}
    let word = if code == 503 { "SlowDown" } else { "InternalError" };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{word}</Code>\
         <Message>a fault of the test</Message></Error>"
    );
    let text = format!(
        "HTTP/1.1 {code} {word}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = client.write_all(text.as_bytes());
    let _ = client.shutdown(Shutdown::Both);
}
