//SOURCES ../../lib/Workspace.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What can mislead an app although the right entries were written. */
class WorkspaceTest {

    private static final List<String> NAMES = List.of("URL", "URL_UNPOOLED");

    @TempDir
    Path folder;

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            # variable   | value                                                                      | leads to another branch
            POSTGRES_URL | postgresql://u:p@ep-cool-leaf-a1b2c3d4.c-3.us-east-1.aws.neon.tech/neondb  | true
            PGHOST       | ep-cool-leaf-123456-pooler.us-east-1.aws.neon.tech                         | true
            NEON_AUTH    | https://ep-cool-leaf-a1b2c3d4.neonauth.us-east-1.aws.neon.tech/neondb/auth | true
            TWO_URLS     | ep-own-branch-a1b2c3d4.neon.tech,ep-cool-leaf-a1b2c3d4.neon.tech           | true
            PGHOST       | ep-own-branch-a1b2c3d4-pooler.us-east-1.aws.neon.tech                      | false
            URL          | ep-cool-leaf-a1b2c3d4.us-east-1.aws.neon.tech                              | false
            GUIDE        | step-by-step-a1b2c3d4, deep-ep-cool-leaf-1                                 | false
            PLACE        | ep-one                                                                     | false
            """)
    void a_variable_that_leads_to_another_branch_is_named_without_its_value(String name, String value, boolean isOther) {
        Map<String, Secret> written = Map.of("URL", new Secret("postgresql://u:p@ep-own-branch-a1b2c3d4-pooler.neon.tech/neondb"));
        assertEquals(isOther ? List.of(name + " in .env leads to another Neon branch, so the app may use two databases; remove it, or set"
                + " it for this branch.") : List.of(), Workspace.otherBranches(written, new TreeMap<>(Map.of(name, value)), ".env"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', textBlock = """
            # turbo.json                                                                      | what to add
            {"globalEnv": ["URL", "URL_UNPOOLED"], "globalDependencies": ["**/.env"]}         | nothing
            {"globalEnv": ["URL*"], "globalDependencies": [".env", "x"]}                      | nothing
            {"globalEnv": ["*"], "globalDependencies": ["apps/*/.env"]}                       | nothing
            {"tasks": {"build": {"env": ["URL", "URL_*"], "inputs": ["$TURBO_DEFAULT$", ".env*"]}}}    | nothing
            {"pipeline": {"build": {"env": ["URL", "URL_UNPOOLED"], "inputs": ["{.env,x}"]}}} | nothing
            {"tasks": {"build": {"env": ["*"], "inputs": ["$TURBO_ROOT$/apps/web/.env"]}}}    | nothing
            {"globalEnv": ["URL"], "globalDependencies": ["**/.env"]}                         | variables
            {"globalPassThroughEnv": ["URL", "URL_UNPOOLED"], "globalDependencies": [".env"]} | variables
            {"globalEnv": ["!URL", "URL_UNPOOLED"], "globalDependencies": [".env"]}           | variables
            {"globalEnv": ["*", "!URL"], "globalDependencies": [".env"]}                      | variables
            {"globalEnv": ["URL*"], "globalDependencies": ["**/.env*", "!**/.env"]}           | file
            {"globalEnv": ["URL*"], "globalDependencies": ["{**/.env,x}"]}                    | nothing
            {"globalEnv": ["URL*"]}                                                           | file
            {"globalEnv": ["URL*"], "globalDependencies": ["**/.env.local", "src/*", "[", 1]} | file
            {}                                                                                | variables and file
            // A comment\\n{ /* too */ "globalEnv": ["URL*",], "globalDependencies": [".env",],\\n} | nothing
            no JSON                                                                           | variables and file
            ~~                                                                                | variables and file
            """)
    void a_turbo_json_without_the_variables_or_the_file_is_named_with_what_to_add(String content, String missing) throws IOException {
        Path config = Files.writeString(folder.resolve("turbo.json"), content.translateEscapes());
        String lines = missing.replace("variables", "\"globalEnv\": [\"URL\", \"URL_UNPOOLED\"]")
                .replace("file", "\"globalDependencies\": [\"**/.env\"]");
        assertEquals(missing.equals("nothing") ? Optional.empty() : Optional.of("Turborepo may reuse a build with another branch's"
                + " database; add " + lines + " to " + config + "."), Workspace.turbo(NAMES, folder.resolve("apps/web/.env")));
    }

    @Test
    void the_turbo_json_files_of_a_repository_count_together_and_others_do_not() throws IOException {
        Path app = Files.createDirectories(folder.resolve("repository/apps/web"));
        Files.writeString(folder.resolve("turbo.json"), "{}");
        Files.createDirectory(folder.resolve("repository/.git"));
        assertEquals(Optional.empty(), Workspace.turbo(NAMES, app.resolve(".env")));
        Files.writeString(folder.resolve("repository/turbo.jsonc"), "{\"globalEnv\": [\"URL*\"]}");
        Files.writeString(app.resolve("turbo.json"), "{\"tasks\": {\"build\": {\"inputs\": [\".env\"]}}}");
        assertEquals(Optional.empty(), Workspace.turbo(NAMES, app.resolve(".env")));
    }

    @Test
    void a_file_that_git_does_not_ignore_or_tracks_is_named() throws IOException {
        Path file = Files.writeString(folder.resolve(".env"), "A=1\n");
        assertEquals(Optional.empty(), Workspace.notIgnored(file), "no repository");
        git("init", "--quiet");
        Optional<String> sentence = Optional.of("Git does not ignore " + file + ", which contains a password; add it to .gitignore, and run"
                + " 'git rm --cached' on it if it is tracked.");
        assertEquals(sentence, Workspace.notIgnored(file));
        Files.writeString(folder.resolve(".gitignore"), ".env\n");
        assertEquals(Optional.empty(), Workspace.notIgnored(file));
        git("add", "--force", ".env");
        assertEquals(sentence, Workspace.notIgnored(file));
    }

    @Test
    void a_file_behind_an_ignored_link_is_named_if_git_does_not_ignore_it() throws IOException {
        git("init", "--quiet");
        Files.writeString(folder.resolve(".gitignore"), ".env\n");
        Files.writeString(folder.resolve("shared.txt"), "A=1\n");
        Path link = Files.createSymbolicLink(folder.resolve(".env"), Path.of("shared.txt"));
        assertTrue(Workspace.notIgnored(link).isPresent(), "the password is in shared.txt");
    }

    private void git(String... args) {
        String[] command = new String[args.length + 1];
        command[0] = "git";
        System.arraycopy(args, 0, command, 1, args.length);
        assertEquals(0, Shell.run(folder, Map.of(), command).exitCode());
    }
}
