//SOURCES Shell.java

import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.Map;
import java.util.stream.Stream;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/** A certificate for this machine as a company's network has it, that no Java trusts by itself. */
final class Certificate {

    private static final String PASSWORD = "changeit";

    private Certificate() {
    }

    /** Makes a certificate, leaves it in the folder as {@code company.pem}, and returns what a server needs to show it. */
    static SSLContext make(Path folder) throws GeneralSecurityException, IOException {
        keytool(folder, "-genkeypair", "-alias", "company", "-keystore", "keys.p12", "-keyalg", "EC", "-dname", "CN=localhost",
                "-ext", "san=dns:localhost");
        keytool(folder, "-exportcert", "-alias", "company", "-keystore", "keys.p12", "-rfc", "-file", "company.pem");
        KeyManagerFactory managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        managers.init(KeyStore.getInstance(folder.resolve("keys.p12").toFile(), PASSWORD.toCharArray()), PASSWORD.toCharArray());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), null, null);
        return context;
    }

    static void keytool(Path folder, String... args) {
        String keytool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        Shell.Result result = Shell.run(folder, Map.of(), Stream.concat(Stream.of(keytool, "-storepass", PASSWORD), Stream.of(args))
                .toArray(String[]::new));
        if (result.exitCode() != 0) {
            throw new IllegalStateException(result.out() + result.err());
        }
    }
}
