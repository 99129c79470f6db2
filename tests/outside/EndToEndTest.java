//DEPS io.github.cdimascio:dotenv-java:3.2.0
//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.cdimascio.dotenv.Dotenv;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole way, through the real jbang and to a real PostgreSQL. */
@Tag("slow")
class EndToEndTest {

    @TempDir
    Path folder;

    @Test
    void a_branch_has_its_parents_rows_and_keeps_its_own_until_it_is_cleaned_up() throws SQLException {
        try (Sandbox sandbox = Sandbox.start()) {
            Shell.Result created = jbang(sandbox, "create-branch");
            String id = sandbox.neon().branch(Cli.BRANCH).id;
            assertEquals("""
                    Created Neon branch 'd1a2b3c4d5e6f7-feature/login' (%s) from 'production'.
                    Wrote DATABASE_URL and DATABASE_URL_UNPOOLED to .env.
                    """.formatted(id), created.out());
            assertEquals("", created.err().replaceAll("(?m)^\\[jbang].*\n", ""));
            assertEquals(0, created.exitCode());

            String production = sandbox.neon().connectionString("production");
            List<String> customers = customers(production);
            assertFalse(customers.isEmpty());
            assertEquals(customers, customers(entry("DATABASE_URL")));

            try (Connection branch = SandboxPostgres.connect(entry("DATABASE_URL_UNPOOLED")); Statement statement = branch.createStatement()) {
                statement.execute("insert into customers (name) values ('Dogwood Deli')");
            }
            List<String> more = new ArrayList<>(customers);
            more.add("Dogwood Deli");
            assertEquals(more, customers(entry("DATABASE_URL")));
            assertEquals(customers, customers(production));

            String url = entry("DATABASE_URL");
            assertEquals(0, jbang(sandbox, "create-branch").exitCode());
            assertEquals(url, entry("DATABASE_URL"));
            assertEquals(more, customers(url));

            sandbox.aws().removeBranch("feature/login");
            Shell.Result cleaned = jbang(sandbox, "cleanup-branches", "--app-id", SandboxAws.APP_ID);
            assertTrue(cleaned.out().endsWith("\nDeleted 'd1a2b3c4d5e6f7-feature/login' (" + id + ").\n"), cleaned.out());
            assertEquals(0, cleaned.exitCode());
            assertThrows(SQLException.class, () -> customers(url));
            assertEquals(customers, customers(production));
        }
    }

    private Shell.Result jbang(Sandbox sandbox, String... args) {
        Path project = Path.of("").toAbsolutePath();
        List<String> command = new ArrayList<>(List.of(project.resolve(".ci/jbang").toString(), project.resolve("neon-ci.java").toString()));
        command.addAll(List.of(args));
        Map<String, String> environment = new HashMap<>(sandbox.environment());
        environment.put("HOME", System.getProperty("user.home"));
        if (args[0].equals("cleanup-branches")) {
            // As from a laptop: a build of the branch that is gone could not clean up after itself.
            environment.remove("AWS_APP_ID");
        }
        Shell.Result result = Shell.run(folder, environment, command.toArray(String[]::new));
        Cli.assertNoSecret(sandbox.secrets(), result.out(), result.err());
        return result;
    }

    private String entry(String key) {
        return Dotenv.configure().directory(folder.toString()).load().get(key);
    }

    private static List<String> customers(String connectionString) throws SQLException {
        try (Connection connection = SandboxPostgres.connect(connectionString); Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("select name from customers order by id")) {
            List<String> names = new ArrayList<>();
            while (rows.next()) {
                names.add(rows.getString(1));
            }
            return names;
        }
    }
}
