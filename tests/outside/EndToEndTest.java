//DEPS io.github.cdimascio:dotenv-java:3.2.0
//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.cdimascio.dotenv.Dotenv;
import java.nio.file.Path;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** From the command line through jbang to PostgreSQL. */
@Tag("slow")
class EndToEndTest {

    @TempDir
    Path folder;

    @Test
    void a_branch_starts_as_a_copy_and_keeps_its_own_data_until_it_is_cleaned_up() throws SQLException {
        try (Sandbox sandbox = Sandbox.start()) {
            String production = sandbox.neon().connectionString("production");
            List<String> customers = customers(production);
            Shell.Result created = jbang(sandbox, "create-branch");
            assertTrue(created.out().matches("Created Neon branch '" + Cli.BRANCH + "' .*\n"
                    + "Wrote DATABASE_URL and DATABASE_URL_UNPOOLED to \\.env\\.\n"), created.out());
            assertEquals("", created.err().replaceAll("(?m)^\\[jbang].*\n", ""));
            assertEquals(3, customers.size());
            assertEquals(customers, customers(entry("DATABASE_URL")));

            SandboxPostgres.query(entry("DATABASE_URL_UNPOOLED"), "insert into customers (name) values ('Dogwood Deli')");
            List<String> more = new ArrayList<>(customers);
            more.add("Dogwood Deli");
            assertEquals(customers, customers(production));
            jbang(sandbox, "create-branch");
            String preview = entry("DATABASE_URL");
            assertEquals(more, customers(preview));

            sandbox.aws().removeBranch("feature/login");
            Shell.Result cleaned = jbang(sandbox, "cleanup-branches", "--app-id", SandboxAws.APP_ID);
            assertTrue(cleaned.out().contains("\nDeleted '" + Cli.BRANCH + "' "), cleaned.out());
            assertThrows(SQLException.class, () -> customers(preview));
            assertEquals(customers, customers(production));
        }
    }

    private Shell.Result jbang(Sandbox sandbox, String... args) {
        Path project = Path.of("").toAbsolutePath();
        List<String> command = new ArrayList<>(List.of(project + "/.ci/jbang", project + "/neon-ci.java"));
        command.addAll(List.of(args));
        String home = System.getProperty("user.home");
        Map<String, String> environment = sandbox.environment(
                Map.of("HOME", home, "JBANG_DIR", System.getenv().getOrDefault("JBANG_DIR", home + "/.jbang")));
        if (args[0].equals("cleanup-branches")) {
            // As on a laptop: a build of the deleted branch would be refused.
            environment.remove("AWS_APP_ID");
        }
        Shell.Result result = Shell.run(folder, environment, command.toArray(String[]::new));
        Cli.assertNoSecret(sandbox.secrets(), result.out(), result.err());
        assertEquals(0, result.exitCode(), result.err());
        return result;
    }

    private String entry(String key) {
        return Dotenv.configure().directory(folder.toString()).load().get(key);
    }

    private static List<String> customers(String connectionString) throws SQLException {
        return SandboxPostgres.query(connectionString, "select name from customers order by id");
    }
}
