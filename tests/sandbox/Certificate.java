//DEPS com.squareup.okhttp3:okhttp-tls:5.5.1

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import javax.net.ssl.SSLContext;
import okhttp3.tls.HandshakeCertificates;
import okhttp3.tls.HeldCertificate;

/** A certificate of a company's own authority, which Java does not trust by default. */
final class Certificate {

    private Certificate() {
    }

    /**
     * Creates a certificate for localhost, writes it to {@code company.pem} and {@code authorities.jks}, and returns the context of a
     * server that uses it. Java reads certificates from the JKS format without a password.
     */
    static SSLContext make(Path folder) throws GeneralSecurityException, IOException {
        HeldCertificate company = new HeldCertificate.Builder().addSubjectAlternativeName("localhost").build();
        Files.writeString(folder.resolve("company.pem"), company.certificatePem());
        KeyStore authorities = KeyStore.getInstance("JKS");
        authorities.load(null, null);
        authorities.setCertificateEntry("company", company.certificate());
        try (OutputStream out = Files.newOutputStream(folder.resolve("authorities.jks"))) {
            authorities.store(out, "changeit".toCharArray());
        }
        return new HandshakeCertificates.Builder().heldCertificate(company).build().sslContext();
    }
}
