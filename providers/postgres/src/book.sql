CREATE SCHEMA IF NOT EXISTS hive;
COMMENT ON SCHEMA hive IS 'what hive knows of this database; form 1';
CREATE TABLE IF NOT EXISTS hive.marks (
  identity text PRIMARY KEY,
  kind text NOT NULL,
  store text,
  stack text,
  environment text,
  address text,
  token text NOT NULL,
  at timestamptz NOT NULL DEFAULT pg_catalog.now());
CREATE TABLE IF NOT EXISTS hive.migrations (
  number numeric PRIMARY KEY,
  version text NOT NULL,
  name text NOT NULL,
  checksum text NOT NULL,
  raw_checksum text NOT NULL,
  statements text[] NOT NULL,
  applied int NOT NULL,
  begun int NOT NULL,
  total int NOT NULL,
  started_ms bigint NOT NULL,
  finished_ms bigint,
  error text,
  error_statement int,
  baseline boolean NOT NULL,
  hive text NOT NULL,
  apply text NOT NULL,
  token text NOT NULL,
  before text NOT NULL,
  after text NOT NULL,
  backup text);
CREATE TABLE IF NOT EXISTS hive.objects (
  object text PRIMARY KEY,
  definition text NOT NULL);
CREATE TABLE IF NOT EXISTS hive.steps (
  token text PRIMARY KEY,
  verb text NOT NULL,
  state text NOT NULL CHECK (state IN ('begun', 'done', 'void')),
  applied int NOT NULL DEFAULT 0,
  begun int NOT NULL DEFAULT 0,
  outcome text,
  at timestamptz NOT NULL DEFAULT pg_catalog.now());
