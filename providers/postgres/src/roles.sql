WITH d AS (SELECT * FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
 extended AS (SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'),
 named AS (
   SELECT s.refobjid AS oid, s.deptype = 'o' AND s.classid NOT IN ('pg_catalog.pg_database'::regclass,
       'pg_catalog.pg_user_mapping'::regclass) AS owns, s.deptype = 'r' AS policies
     FROM d, pg_catalog.pg_shdepend s
     WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass
     AND (s.dbid = d.oid
       OR s.dbid = 0 AND s.classid = 'pg_catalog.pg_database'::regclass AND s.objid = d.oid
       OR s.dbid = 0 AND s.classid = 'pg_catalog.pg_subscription'::regclass
         AND s.objid IN (SELECT oid FROM pg_catalog.pg_subscription WHERE subdbid = d.oid))
     AND NOT (s.deptype = 'o' AND (s.classid = 'pg_catalog.pg_extension'::regclass
       OR (s.classid, s.objid) IN (SELECT classid, objid FROM extended)))
     AND NOT (s.classid = 'pg_catalog.pg_class'::regclass
       AND s.objid IN (SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't'))
   UNION ALL SELECT datdba, false, false FROM d
   UNION ALL SELECT a.grantee, false, false FROM d, LATERAL pg_catalog.aclexplode(d.datacl) a
   UNION ALL SELECT s.setrole, false, false FROM d
     JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = d.oid
   UNION ALL SELECT o.owner, true, false FROM (
       SELECT 'pg_catalog.pg_class'::regclass::oid AS classid, oid, relowner AS owner FROM pg_catalog.pg_class
         WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
       UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, oid, proowner FROM pg_catalog.pg_proc
       UNION ALL SELECT 'pg_catalog.pg_type'::regclass, oid, typowner FROM pg_catalog.pg_type
         WHERE typtype IN ('e', 'd', 'r')
       UNION ALL SELECT 'pg_catalog.pg_namespace'::regclass, oid, nspowner FROM pg_catalog.pg_namespace
         WHERE nspname !~ '^pg_'
     ) o WHERE o.oid >= 16384 AND o.owner < 16384
       AND (o.classid, o.oid) NOT IN (SELECT classid, objid FROM extended)
   UNION ALL SELECT defaclrole, true, false FROM pg_catalog.pg_default_acl),
 roles AS (SELECT r.oid, pg_catalog.bool_or(n.owns) AS owns, pg_catalog.bool_or(n.policies) AS policies
   FROM named n JOIN pg_catalog.pg_roles r ON r.oid = n.oid WHERE r.rolname !~ '^pg_' GROUP BY r.oid)
SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
   'name', r.rolname,
   'attributes', pg_catalog.to_jsonb(pg_catalog.array_remove(ARRAY[
      CASE WHEN r.rolcanlogin THEN 'login' END, CASE WHEN r.rolinherit THEN 'inherit' END,
      CASE WHEN r.rolcreatedb THEN 'createdb' END, CASE WHEN r.rolcreaterole THEN 'createrole' END,
      CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolreplication THEN 'replication' END,
      CASE WHEN r.rolbypassrls THEN 'bypassrls' END], NULL)),
   'connection_limit', r.rolconnlimit,
   'member_of', COALESCE((SELECT pg_catalog.jsonb_agg(g.rolname ORDER BY g.rolname)
      FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
      WHERE m.member = r.oid AND (g.rolname ~ '^pg_' OR g.oid IN (SELECT oid FROM roles))), '[]'),
   'owns', n.owns, 'policies', n.policies) ORDER BY r.rolname), '[]')
FROM roles n JOIN pg_catalog.pg_roles r ON r.oid = n.oid
