-- Where a driver came from: 'bundled' with the program, or 'installed' by an operator.
ALTER TABLE driver ADD COLUMN origin TEXT NOT NULL DEFAULT 'installed';

-- The version that readers run which name none. Where there is no row, that is the newest.
CREATE TABLE driver_choice (
    id TEXT PRIMARY KEY,
    version TEXT NOT NULL
);

-- The highest version that was ever installed; stays when that version is removed.
CREATE TABLE driver_highest (
    id TEXT PRIMARY KEY,
    version TEXT NOT NULL
);

-- Whose signatures are believed for a vendor's drivers. A withdrawn key stays: the vendor's name is taken.
CREATE TABLE publisher (
    vendor TEXT NOT NULL,
    -- As minisign shows it: 16 hexadecimal digits.
    key_id TEXT NOT NULL,
    public_key TEXT NOT NULL,
    trusted BIGINT NOT NULL,
    withdrawn BIGINT,
    PRIMARY KEY (vendor, key_id)
);
