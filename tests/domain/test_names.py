"""Which names look like a web or email address."""

import pytest

from expert_booking.domain.names import looks_like_address

REAL_NAMES = """
Ada Lovelace|Dr. Ada Lovelace|Dr.Ada Lovelace|St. John|St.John|J.R.R. Tolkien|J.R.R.Tolkien|Jean-Luc.
J.-L. Picard|Anna B. v. d. Berg|Anna B.v.d.Berg|Node.js Smith|Dr.Kim|Dr.-Ing.Kim|Prof.Dr.Li|J.Li|J.R.Kim
M.Sc.Ng|Ph.D. Ma|Md.Ali Khan|Mohd.Ali|Ma.de los Ángeles|Mª del Carmen|Müller GmbH & Co.KG|S.A.de C.V.
Acme Inc.|Acme Co.Ltd|Verein e.V.|No.1 Dad|Sammy Davis Jr.|Martin L. King, Jr.|Ada @ work|@ada|O'Brien
D’Arcy|Mac an tSaoir|Ada (she/her)|c/o Dr. Ng|A/B|X Æ A-12|3.14|1. FC|Ada…Kim|Ada...|Q.|.|-|Nguyễn Văn A.
İ. Işık|А.С.Пушкин|А. С. Пушкин|Ю.А.Гагарин|Γ.Σεφέρης|ד״ר כהן|محمد بن سلمان|नरेंद्र मोदी|डॉ.शर्मा
สมชาย ใจดี|王小明|王・小明|山田 太郎|김철수|Nǃxau ǂToma|Kīlauea|Chr.Hansen|Th.Mann|Frau Dr.med.Ma
Sr.a Ana|José Ma. Olazábal|Mrs. Smith|Hon. Judge|M. le Maire|Mlle.Rose|Jos. van der Berg|Mr.T
""".replace("\n", "|").strip("|").split("|")  # fmt: skip
ADDRESSES = """
You have won, see www.evil.example|http://|https://x|ftp://x|evil.com/…|will.i.am|a@b.c|ada@localhost
Ada <ada@example.com>|evil.com|Evil.Com|EVIL.COM.|(evil.org)|see:evil.net|go=evil.io|“evil.net”|win.tk!
x.com|t.co/xyz|bit.ly/3x|evil.co.uk|dr.com|WWW.evil|www.evil|evil.com:8080|evil.com…|evil.dev?x=1
//evil.app/|\\\\evil.app|ｅｖｉｌ．ｃｏｍ|evil。com|evil.c‍om|ａ＠ｂ．ｃ|имя.рф|例子.中国|पोर्टल.भारत|a.xn--p1ai
192.0.2.1|Ada, evil.example|evil.test|evil.internal|free.money|user:pw@evil|Ada*evil.xyz*|O'evil.net
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@pytest.mark.parametrize("name", REAL_NAMES)
def test_real_names_do_not_look_like_addresses(name: str) -> None:
    assert not looks_like_address(name)


@pytest.mark.parametrize("name", ADDRESSES)
def test_addresses_are_recognised(name: str) -> None:
    assert looks_like_address(name)
    assert looks_like_address(f"Ada {name} Lovelace")
