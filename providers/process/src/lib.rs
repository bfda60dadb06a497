//! Services as detached processes on this machine.

pub mod program;
