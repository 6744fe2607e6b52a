//! What fields are called and how entries are found: a preset for each type of server, and what the administrator says
//! otherwise under the names `ldap.schema.…`.
