import static org.junit.jupiter.api.Assertions.assertEquals;

import java.net.URI;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** How HTTPS_PROXY and NO_PROXY are read, and why there was no response. */
class ProxyTest {

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            example.com      | www.example.com      | true
            .example.com     | example.com          | true
            a, Example.COM.  | www.a.example.com    | true
            a b c            | b                    | true
            127.0.0.1        | 127.0.0.1            | true
            *                | example.com          | true
            xample.com       | example.com          | false
            example.com      | example.com.evil.net | false
            *.example.com    | www.example.com      | false
            example.c.m      | example.com          | false
            ex.*             | example.com          | false
            , ,.             | example.com          | false
            ``               | example.com          | false
            """)
    void no_proxy_is_read_as_curl_reads_it(String noProxy, String host, boolean isDirect) {
        assertEquals(isDirect, Network.isDirect(host, noProxy));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            http://proxy.example:8080          | proxy.example:8080 user='' password=''
            HTTP://proxy.example:8080/         | proxy.example:8080 user='' password=''
            proxy                              | proxy:80 user='' password=''
            http://[::1]:3128                  | [::1]:3128 user='' password=''
            http://us%20er:p%40s:s@proxy:65535 | proxy:65535 user='us er' password='p@s:s'
            user:1+1@proxy                     | proxy:80 user='user' password='1+1'
            http://user:100%@proxy             | refused
            user@proxy:1                       | proxy:1 user='user' password=''
            socks5://user:secret@proxy:1080    | refused
            https://proxy:443                  | refused
            http://user:1234/secret@proxy:80   | refused
            http://user:1234?secret@proxy:80   | refused
            proxy:0                            | refused
            proxy:65536                        | refused
            http://user:secret@proxy:port      | refused
            http://                            | refused
            http://[::1                        | refused
            http://proxy/path                  | proxy:80 user='' password=''
            my_proxy:80                        | refused
            """)
    void https_proxy_is_an_http_proxy_with_or_without_a_login(String value, String expected) {
        assertEquals(expected, Network.ProxyServer.of(value)
                .map(proxy -> proxy + " user='" + proxy.user() + "' password='" + proxy.password() + "'").orElse("refused"));
    }

    /** Java's HTTP client fails with it when the SDK's own timeout closes the connection at a certain moment. */
    @Test
    void a_null_pointer_in_the_http_client_is_a_timeout() {
        assertEquals(Optional.of("timed out"), Network.reason(new RuntimeException(new NullPointerException("x")), URI.create("http://h")));
        assertEquals(Optional.empty(), Network.reason(new IllegalArgumentException("secret"), URI.create("http://h")));
    }
}
