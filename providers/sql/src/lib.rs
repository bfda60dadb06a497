//! What the database engines share, and nothing that touches a database.
